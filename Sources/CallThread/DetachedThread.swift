import Glibc

/// A thread that nobody waits for. Blocking calls of C libraries have threads of their own.
public enum DetachedThread {
  private final class Body: Sendable {
    let run: @Sendable () -> Void

    init(_ run: @escaping @Sendable () -> Void) { self.run = run }
  }

  /// Runs a body on a thread. False where none can be had: a limit of the system may leave none, and then nothing is run.
  public static func start(_ run: @escaping @Sendable () -> Void) -> Bool {
    let argument = Unmanaged.passRetained(Body(run))
    var thread = pthread_t()
    let code = pthread_create(
      &thread, nil,
      { argument in
        if let argument { Unmanaged<Body>.fromOpaque(argument).takeRetainedValue().run() }
        return nil
      }, argument.toOpaque())
    guard code == 0 else {
      argument.release()
      return false
    }
    pthread_detach(thread)
    return true
  }
}
