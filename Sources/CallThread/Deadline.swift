import Dispatch

/// Calls that may never return: librdkafka 2.0 joins its own threads when a client is destroyed, and those may wait for each
/// other without end (after a topic was deleted under a consumer, for one).
public enum Deadline {
  /// Runs a body on a thread of its own and waits for it, so long at most. Whether it has ended; if not, it is left to its
  /// thread. Where no thread can be had nothing is run.
  public static func run(milliseconds: Int, _ body: @escaping @Sendable () -> Void) -> Bool {
    let isOver = DispatchSemaphore(value: 0)
    let isRunning = DetachedThread.start {
      body()
      isOver.signal()
    }
    return isRunning && isOver.wait(timeout: .now() + .milliseconds(milliseconds)) == .success
  }
}
