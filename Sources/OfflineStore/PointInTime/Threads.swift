import Glibc
import Synchronization

/// Threads that end before the call does.
enum Threads {
  private final class Job: Sendable {
    let body: @Sendable () throws(TableError) -> Void
    let error = Mutex<TableError?>(nil)

    init(_ body: @escaping @Sendable () throws(TableError) -> Void) { self.body = body }

    func run() {
      do throws(TableError) {
        try body()
      } catch {
        self.error.withLock { $0 = error }
      }
    }
  }

  /// Runs a body so many times at once, with a number from 0; throws the first error by number.
  static func run(
    _ count: Int, _ body: @escaping @Sendable (Int) throws(TableError) -> Void
  ) throws(TableError) {
    let jobs = (0..<count).map { index in Job { () throws(TableError) in try body(index) } }
    var threads: [pthread_t] = []
    for job in jobs.dropFirst() {
      var thread = pthread_t()
      let code = pthread_create(
        &thread, nil,
        { argument in
          guard let argument else { return nil }
          Unmanaged<Job>.fromOpaque(argument).takeUnretainedValue().run()
          return nil
        }, Unmanaged.passUnretained(job).toOpaque())
      precondition(code == 0, "Cannot start a thread: \(systemText(code))")
      threads.append(thread)
    }
    jobs.first?.run()
    for thread in threads { pthread_join(thread, nil) }
    for job in jobs { if let error = job.error.withLock({ $0 }) { throw error } }
  }
}
