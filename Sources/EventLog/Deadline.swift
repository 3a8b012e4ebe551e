import Glibc
import Synchronization

/// Calls that may never return: librdkafka 2.0 joins its own threads when a client is destroyed, and those may wait for each
/// other without end (after a topic was deleted under a consumer, for one).
enum Deadline {
  private final class Work: Sendable {
    let body: @Sendable () -> Void
    let isOver = Atomic(false)

    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }

  /// Runs a body on a thread of its own and waits for it, so long at most. Whether it has ended; if not, it is left to its
  /// thread.
  static func run(milliseconds: Int, _ body: @escaping @Sendable () -> Void) -> Bool {
    let work = Work(body)
    let argument = Unmanaged.passRetained(work)
    var thread = pthread_t()
    let status = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        let work = Unmanaged<Work>.fromOpaque(argument).takeRetainedValue()
        work.body()
        work.isOver.store(true, ordering: .releasing)
        return nil
      }, argument.toOpaque())
    guard status == 0 else {
      // Without a thread to spare the client is left as it is.
      argument.release()
      return false
    }
    pthread_detach(thread)
    let deadline = ContinuousClock.now + .milliseconds(milliseconds)
    while !work.isOver.load(ordering: .acquiring) {
      if ContinuousClock.now >= deadline { return false }
      usleep(200)
    }
    return true
  }
}
