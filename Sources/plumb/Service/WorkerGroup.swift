import Foundation
import Processor
import Synchronization

/// Threads that run until a signal comes or one of them fails. Blocking C calls stay off the cooperative pool.
final class WorkerGroup: Sendable {
  private let isStopping = Atomic(false)
  private let outcomes = Mutex<[Result<LoopCounts, ProcessorError>]>([])
  private let finished = DispatchGroup()

  init() {
    for number in [SIGTERM, SIGINT] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      // The handler keeps its source alive: it is needed as long as the process.
      source.setEventHandler { [self] in
        isStopping.store(true, ordering: .relaxed)
        withExtendedLifetime(source) {}
      }
      source.resume()
    }
  }

  func start(
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
        isStopping.store(true, ordering: .relaxed)
      }
      outcomes.withLock { $0.append(outcome) }
      finished.leave()
    }
  }

  /// Lets every thread end as a signal does.
  func stop() { isStopping.store(true, ordering: .relaxed) }

  /// Waits for every thread, so long at most; whether they have all ended.
  func wait(milliseconds: Int) -> Bool {
    finished.wait(timeout: .now() + .milliseconds(milliseconds)) == .success
  }

  /// Waits for every thread; returns what they did together, or throws the first failure.
  func wait() throws(ProcessorError) -> LoopCounts {
    finished.wait()
    var counts = LoopCounts()
    for outcome in outcomes.withLock({ $0 }) { counts.add(try outcome.get()) }
    return counts
  }
}
