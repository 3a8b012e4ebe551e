import Dispatch
import Foundation
public import Processor
import Synchronization

/// Threads that run until they are told to end or one of them fails. Blocking C calls stay off the cooperative pool.
public final class WorkerGroup: Sendable {
  private let isStopping = Atomic(false)
  /// When the threads were first told to end.
  private let stopped = Mutex<ContinuousClock.Instant?>(nil)
  private let outcomes = Mutex<[Result<LoopCounts, ProcessorError>]>([])
  private let finished = DispatchGroup()

  /// How long threads may take to end once they are told to: whatever they wait for, an orchestrator kills a process that
  /// takes longer.
  private let patience: Duration

  /// A group without threads.
  public convenience init() { self.init(patience: .seconds(10)) }

  init(patience: Duration) { self.patience = patience }

  /// Starts a thread, whose body asks the closure that it is given whether it is to end.
  public func start(
    _ body: @escaping @Sendable (@escaping () -> Bool) throws(ProcessorError) -> LoopCounts
  ) {
    finished.enter()
    Thread.detachNewThread { [self] in
      let outcome: Result<LoopCounts, ProcessorError>
      do throws(ProcessorError) {
        outcome = .success(try body { self.isStopping.load(ordering: .relaxed) })
      } catch {
        outcome = .failure(error)
        // The others could go on, but half a service is found later than none.
        self.stop()
      }
      outcomes.withLock { $0.append(outcome) }
      finished.leave()
    }
  }

  /// Whether the threads were told to end.
  public var isToEnd: Bool { isStopping.load(ordering: .relaxed) }

  /// Lets every thread end.
  public func stop() {
    stopped.withLock { $0 = $0 ?? .now }
    isStopping.store(true, ordering: .relaxed)
  }

  /// Waits for every thread, so long at most; whether they have all ended.
  public func wait(milliseconds: Int) -> Bool {
    finished.wait(timeout: .now() + .milliseconds(milliseconds)) == .success
  }

  /// Waits for every thread, and once they are told to end no longer than `patience`; returns what they did together and
  /// whether all have ended, or throws the first failure.
  public func wait() throws(ProcessorError) -> (counts: LoopCounts, isWhole: Bool) {
    var isWhole = wait(milliseconds: Self.sliceMilliseconds)
    while !isWhole, stopped.withLock({ $0.map { .now < $0 + patience } ?? true }) {
      isWhole = wait(milliseconds: Self.sliceMilliseconds)
    }
    var counts = LoopCounts()
    for outcome in outcomes.withLock({ $0 }) { counts.add(try outcome.get()) }
    return (counts, isWhole)
  }

  /// Between two looks at whether the threads' time is over.
  private static let sliceMilliseconds = 100
}
