import Dispatch
import Glibc
import Synchronization

/// A thread that makes one call at a time, while whoever asked for it goes on. It ends when nobody has it any more.
public final class CallThread<Failure: Error> {
  /// What the thread and its owner share.
  private final class Desk: Sendable {
    typealias Call = @Sendable () throws(Failure) -> Void

    let call = Mutex<Call?>(nil)
    let outcome = Mutex<Result<Void, Failure>?>(nil)
    let asked = DispatchSemaphore(value: 0)
    let answered = DispatchSemaphore(value: 0)

    /// Makes calls until it is woken without one.
    func work() {
      while true {
        asked.wait()
        guard let result = makeCall() else { return }
        outcome.withLock { $0 = result }
        answered.signal()
      }
    }

    /// What a call holds is given back before its outcome is known.
    private func makeCall() -> Result<Void, Failure>? {
      guard let call = call.withLock({ $0.take() }) else { return nil }
      do throws(Failure) {
        return .success(try call())
      } catch { return .failure(error) }
    }
  }

  private let desk = Desk()
  /// Whether a call was started whose end nobody has been told.
  public private(set) var isCalling = false
  private var hasThread = false

  /// A thread that begins with the first call.
  public init() {}

  deinit { desk.asked.signal() }

  /// Has a call made. What it uses is its own until `finish` has told of its end.
  public func start(_ call: @escaping @Sendable () throws(Failure) -> Void) {
    precondition(!isCalling, "Cannot make two calls at once")
    isCalling = true
    desk.call.withLock { $0 = call }
    if !hasThread { begin() }
    hasThread = true
    desk.asked.signal()
  }

  /// Whether the call has ended; throws what it has thrown. Waits for that, or returns false at once.
  public func finish(waiting: Bool) throws(Failure) -> Bool {
    precondition(isCalling, "Cannot finish what was not started")
    if waiting {
      desk.answered.wait()
    } else if desk.answered.wait(timeout: .now()) == .timedOut {
      return false
    }
    isCalling = false
    guard let outcome = desk.outcome.withLock({ $0.take() }) else {
      preconditionFailure("A call has ended without an outcome")
    }
    try outcome.get()
    return true
  }

  private func begin() {
    let argument = Unmanaged.passRetained(ThreadBody { [desk] in desk.work() })
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        if let argument { Unmanaged<ThreadBody>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, argument.toOpaque())
    precondition(code == 0, "Cannot start a thread: \(code)")
    pthread_detach(thread)
  }
}

/// What a thread runs: a C function can't know of type parameters.
private final class ThreadBody: Sendable {
  let run: @Sendable () -> Void

  init(_ run: @escaping @Sendable () -> Void) { self.run = run }
}
