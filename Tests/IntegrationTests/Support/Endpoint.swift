import Foundation
import LiveView
import TestSupport

/// What a process says of itself over HTTP.
struct Endpoint {
  let site: Site

  init(_ site: Site) { self.site = site }

  private func body(_ path: String) -> String? {
    guard let port = site.logs.firstMatch(of: /running http=(?:127\.0\.0\.1:)?(\d+)/)?.1 else { return nil }
    return try? HTTPGet.body(host: "127.0.0.1", port: Int(port)!, path: path)
  }

  /// What it measures, a line each.
  var metrics: [Substring] { (body("/metrics") ?? "").split(separator: "\n") }

  var isReady: Bool { body("/readyz") != nil }
  var isAlive: Bool { body("/healthz") != nil }

  /// In event time, of each partition that has a series.
  var lags: [Double] {
    (body("/metrics") ?? "").split(separator: "\n")
      .filter { $0.hasPrefix("plumb_lag_event_time_seconds{") }
      .compactMap { $0.split(separator: " ").last.flatMap { Double($0) } }
  }

  func awaitState(_ what: String, _ isSo: (Endpoint) -> Bool) throws {
    try waitUntil("the service is \(what): \(lags), \(site.logs)", seconds: 120) { isSo(self) }
  }
}

extension Site {
  /// Starts a process of the service, 'a', and waits until it is ready.
  func startReady(more: [String] = [], descriptors: Int? = nil) throws -> Endpoint {
    try start(Instance("a"), more: ["--http", "127.0.0.1:0"] + more, descriptors: descriptors)
    let endpoint = Endpoint(self)
    try endpoint.awaitState("ready") { $0.isReady }
    return endpoint
  }
}
