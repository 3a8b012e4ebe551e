import Dispatch
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
      repeat { asked.wait() } while answer()
    }

    /// Makes the call that was asked for; false if none was.
    func answer() -> Bool {
      guard let result = makeCall() else { return false }
      outcome.withLock { $0 = result }
      answered.signal()
      return true
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
  /// Runs what it is given on a thread; false where none can be had.
  private let startThread: (@escaping @Sendable () -> Void) -> Bool

  /// A thread that begins with the first call.
  public convenience init() { self.init(startThread: DetachedThread.start) }

  init(startThread: @escaping (@escaping @Sendable () -> Void) -> Bool) { self.startThread = startThread }

  deinit { desk.asked.signal() }

  /// Has a call made; where no thread can be had, at once. What it uses is its own until `finish` has told of its end.
  public func start(_ call: @escaping @Sendable () throws(Failure) -> Void) {
    precondition(!isCalling, "Cannot make two calls at once")
    isCalling = true
    desk.call.withLock { $0 = call }
    hasThread = hasThread || startThread { [desk] in desk.work() }
    if hasThread {
      desk.asked.signal()
    } else {
      _ = desk.answer()
    }
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
}
