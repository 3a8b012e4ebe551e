public import HTTPListener
import Metrics

/// Answers `/metrics`, `/healthz` and `/readyz` over HTTP.
public final class AdminServer: Sendable {
  private let listener: HTTPListener

  /// The port that it listens on.
  public var port: Int { listener.port }

  /// Scrapers and probes are few; a port that anyone can reach must not use up the service's descriptors.
  private static let limits = {
    var limits = HTTPLimits(connectionsMax: 128, bodyBytesMax: 1 << 10)
    limits.idleSeconds = 65
    return limits
  }()

  /// Listens. Port 0 takes any free one. Throws what the system says if it can't; `refresh` is called before metrics are
  /// told, and `objections` says what stands against the answer yes.
  public init(
    host: String, port: Int, _ registry: PrometheusRegistry, refresh: @escaping @Sendable () -> Void = {},
    objections: @escaping @Sendable (Health.Question) -> [String]
  ) throws {
    let ready = Meter(label: "plumb_ready", dimensions: [], factory: registry)
    listener = try HTTPListener(host: host, port: port, Self.limits) { request, answer in
      guard ["GET", "HEAD"].contains(request.method) else {
        return answer(HTTPAnswer.text(405, "use GET\n"))
      }
      switch request.path {
      case "/metrics":
        // Asked here: a worker that waits in a call says nothing.
        ready.set(objections(.ready).isEmpty ? 1 : 0)
        refresh()
        answer(registry.answer)
      case "/healthz": answer(Self.answer(objections(.alive)))
      case "/readyz": answer(Self.answer(objections(.ready)))
      default: answer(.text(404, "there are /metrics, /healthz and /readyz\n"))
      }
    }
  }

  deinit { listener.stop(milliseconds: 0) }

  private static func answer(_ objections: [String]) -> HTTPAnswer {
    objections.isEmpty ? .text(200, "ok\n") : .text(503, objections.map { "\($0)\n" }.joined())
  }
}

extension PrometheusRegistry {
  /// What a scraper is answered.
  public var answer: HTTPAnswer {
    HTTPAnswer(200, "text/plain; version=0.0.4; charset=utf-8", Array(text.utf8))
  }
}
