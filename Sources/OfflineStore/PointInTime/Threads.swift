import Glibc
import Synchronization

/// Threads that end before the call does.
public enum Threads {
  private final class Job<Failure: Error>: Sendable {
    let body: @Sendable () throws(Failure) -> Void
    let error = Mutex<Failure?>(nil)

    init(_ body: @escaping @Sendable () throws(Failure) -> Void) { self.body = body }
  }

  private final class Start: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Runs a body so many times at once, with a number from 0; throws the first error by number.
  public static func run<Failure: Error>(
    _ count: Int, _ body: @escaping @Sendable (Int) throws(Failure) -> Void
  ) throws(Failure) {
    let jobs = (0..<count).map { index in Job { () throws(Failure) in try body(index) } }
    let starts = jobs.map { job in
      Start {
        do throws(Failure) {
          try job.body()
        } catch {
          job.error.withLock { $0 = error }
        }
      }
    }
    let threads = starts.dropFirst().map(begin)
    starts.first?.run()
    for thread in threads { pthread_join(thread, nil) }
    for job in jobs { if let error = job.error.withLock({ $0 }) { throw error } }
  }

  private static func begin(_ start: Start) -> pthread_t {
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        if let argument { Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, Unmanaged.passRetained(start).toOpaque())
    precondition(code == 0, "Cannot start a thread: \(systemText(code))")
    return thread
  }
}
