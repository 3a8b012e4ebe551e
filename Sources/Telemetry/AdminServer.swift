import Foundation
import Hummingbird
public import Logging
import Metrics

/// Answers `/metrics`, `/healthz` and `/readyz` over HTTP.
public final class AdminServer: Sendable {
  /// The port that it listens on.
  public let port: Int
  private let task: Task<Void, Never>

  /// Listens. Port 0 takes any free one. Throws what the system says if it can't; `now` is the clock of `health`.
  public init(
    host: String, port: Int, _ registry: PrometheusRegistry, _ health: Health, logger: Logger,
    now: @escaping @Sendable () -> Int64
  ) throws {
    let router = Router()
    let ready = Meter(label: "plumb_ready", dimensions: [], factory: registry)
    router.get("/metrics") { _, _ in
      // Asked here: a worker that waits in a call says nothing.
      ready.set(health.objections(.ready, now: now()).isEmpty ? 1 : 0)
      return Self.response(.ok, registry.text, type: "text/plain; version=0.0.4; charset=utf-8")
    }
    router.get("/healthz") { _, _ in Self.answer(health.objections(.alive, now: now())) }
    router.get("/readyz") { _, _ in Self.answer(health.objections(.ready, now: now())) }
    let start = Start()
    var quiet = logger
    // Its end is no error, though the server's parts complain of it.
    quiet.logLevel = .critical
    let application = Application(
      router: router, configuration: .init(address: .hostname(host, port: port)),
      onServerRunning: { start.finish(.success($0.localAddress?.port ?? 0)) }, logger: quiet)
    task = Task.detached {
      do { try await application.run() } catch { start.finish(.failure(error)) }
    }
    self.port = try start.wait()
  }

  deinit { task.cancel() }

  private static func answer(_ objections: [String]) -> Response {
    objections.isEmpty
      ? response(.ok, "ok\n")
      : response(.serviceUnavailable, objections.map { "\($0)\n" }.joined())
  }

  private static func response(
    _ status: HTTPResponse.Status, _ text: String, type: String = "text/plain; charset=utf-8"
  ) -> Response {
    Response(status: status, headers: [.contentType: type], body: .init(byteBuffer: .init(string: text)))
  }

  /// Hands the outcome of the start from the server's task to the thread that waits for it.
  private final class Start: @unchecked Sendable {
    private let lock = NSLock()
    private let isKnown = DispatchSemaphore(value: 0)
    private var outcome: Result<Int, any Error>?

    func finish(_ result: Result<Int, any Error>) {
      lock.withLock { if outcome == nil { outcome = result } }
      isKnown.signal()
    }

    func wait() throws -> Int {
      isKnown.wait()
      return try lock.withLock { try outcome?.get() ?? 0 }
    }
  }
}
