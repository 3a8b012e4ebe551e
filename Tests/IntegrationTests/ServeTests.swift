import Foundation
import LiveView
import Processor
import Testing
import TestSupport

extension Journeys {
  /// `plumb serve` beside `plumb run`, asked by plain HTTP and by Feast's client.
  @Suite struct ServeTests {}
}

extension Journeys.ServeTests {
  @Test func answersAreWhatIsInTheStore() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try ServedShop.site(seed)
      let server = try Server(site, ["--predictions", "clicks"])
      let expected = try ServedShop.expectedRows(site)
      var problems = try server.check("values", expected)
      problems += try server.check("records", expected)
      problems += try server.check("mistakes")
      problems += try server.check("documents")
      problems += try server.check("lags", "no")
      // Without the service nothing is folded, and answers say so.
      guard try site.terminate("a") == 0 else { return [site.logs] }
      problems += try server.check("lags", "yes")
      problems += try server.check("crowd")
      problems += try Self.feast(server, expected)
      problems += try ServedShop.checkLog(site, server)
      problems += try Self.contract(server, seed)
      guard try server.terminate() == 0 else { return ["the server ended badly: \(server.text)"] }
      return Integration.report(problems, seed, site)
    }
  }

  @Test func withoutRedisItSaysSoAndComesBack() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try ServedShop.site(seed)
      let server = try Server(site, ["--request-timeout-ms", "500"])
      var problems = try server.check("back")
      site.redis.freeze(true)
      problems += try server.check("away")
      site.redis.freeze(false)
      problems += try server.check("back")
      site.redis.kill()
      problems += try server.check("away")
      try site.redis.start()
      // It begins empty, and is filled by the service.
      problems += try server.check("back")
      let told = server.text
      for line in ["the store can't be read", "the store answers again"] where !told.contains(line) {
        problems.append("not told: \(line)\n\(told)")
      }
      return Integration.report(problems, seed, site)
    }
  }

  /// A flipped bit in one state: its entity's values are null and said to be invalid, and everything else is answered.
  @Test func aDamagedStateIsToldAndAnsweredAsNull() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try ServedShop.site(seed)
      guard try site.terminate("a") == 0 else { return [site.logs] }
      let users = try site.redis.contents().filter {
        String(decoding: $0.key, as: UTF8.self).contains(":s:users:u")
      }
      guard let (key, healthy) = users.min(by: { $0.key.lexicographicallyPrecedes($1.key) }) else {
        return ["no states"]
      }
      var value = healthy
      value[value.count - 1] ^= 1
      try site.redis.set(key, value)
      let server = try Server(site)
      let user = String(String(decoding: key, as: UTF8.self).split(separator: ":").last ?? "")
      var problems = try server.check("damaged", user)
      if !server.text.contains("a state is damaged") || !server.text.contains("'\(user)' in view 'users'") {
        problems.append("not told: \(server.text)")
      }
      return Integration.report(problems, seed, site)
    }
  }

  @Test func aPromotionUnderLoadMixesNothing() async throws {
    try await Integration.expectNone {
      let seed = Integration.seed()
      let site = try ServedShop.site(seed)
      let next = try site.addVersion(
        ServedShop.definitions.replacing("version: 1", with: "version: 2").replacing("1 + 0", with: "1 + 1")
          .replacing(
            "      price_per", with: "      extra: pairs__n_lifetime * 2\n      price_per"))
      for arguments in [
        ["topics", "apply"], ["run", "--redis", site.redis.url, "--until", "end"],
      ] {
        let process = try site.command(arguments, definitions: next.path)
        guard try process.status(within: 120) == 0 else { return ["\(arguments): \(process.text)"] }
      }
      func promote(_ version: String, _ definitions: String? = nil) throws {
        let process = try site.command(
          ["promote", version, "--redis", site.redis.url], definitions: definitions)
        guard try process.status(within: 60) == 0 else { throw Failure(process.text) }
      }
      try promote("1")
      let server = try Server(site, ["-d", next.path])
      let marker = site.path("promoted")
      let load = try server.start("load", marker)
      try waitUntil("the load runs: \(load.text)", seconds: 60) {
        FileManager.default.fileExists(atPath: "\(marker).loaded")
      }
      try promote("2", next.path)
      try Data().write(to: URL(fileURLWithPath: marker))
      guard try load.status(within: 120) == 0 else { return ["seed \(seed): \(load.text)\n\(server.text)"] }
      print(load.text)
      return Integration.report([], seed, site)
    }
  }

  @Test func tokensAreAskedFor() async throws {
    try await Integration.expectNone {
      let site = try ServedShop.site(Integration.seed())
      let path = site.path("tokens")
      try "ranking-0123456789 read:ranking\nmetrics-0123456789 metrics\n"
        .write(toFile: path, atomically: true, encoding: .utf8)
      let server = try Server(site, ["--tokens", path])
      var problems = try server.check("tokens")
      // One token goes and another comes; then a slip, which changes nothing.
      try "renewed-0123456789 read:ranking\n".write(toFile: path, atomically: true, encoding: .utf8)
      problems += try server.check("renewed")
      try "renewed-0123456789 raed\n".write(toFile: path, atomically: true, encoding: .utf8)
      try waitUntil("the slip is told: \(server.text)", seconds: 60) {
        server.text.contains("there is no scope 'raed'")
      }
      problems += try server.check("renewed")
      if server.text.contains("0123456789") { problems.append("a token is in the log: \(server.text)") }
      // Beyond loopback nobody listens without tokens.
      let open = try site.command(["serve", "--redis", site.redis.url, "--listen", "0.0.0.0:0"])
      guard try open.status(within: 60) == 1, open.text.contains("--tokens") else { return [open.text] }
      return problems
    }
  }

  @Test func tlsIsSpokenAndItsCertificateRenewed() async throws {
    try await Integration.expectNone {
      let site = try ServedShop.site(Integration.seed())
      let (certificate, key) = (site.path("server.pem"), site.path("server.key"))
      try Self.certify(certificate, key, site)
      let server = try Server(site, ["--tls-cert", certificate, "--tls-key", key], isPlain: false)
      var problems = try server.check("tls", certificate)
      // The same name under another key: who trusts only the new one is served within a moment.
      try Self.certify(certificate, key, site)
      problems += try server.check("tls", certificate)
      return problems
    }
  }

  /// A certificate for localhost that vouches for itself.
  private static func certify(_ certificate: String, _ key: String, _ site: Site) throws {
    let process = try ChildProcess(
      "/usr/bin/env",
      [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days",
        "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "\(key).new",
        "-out", "\(certificate).new",
      ], log: URL(fileURLWithPath: site.path("openssl.log")))
    guard try process.status(within: 60) == 0 else { throw Failure(process.text) }
    for path in [key, certificate] { rename("\(path).new", path) }
  }

  // MARK: What they share

  private static func feast(_ server: Server, _ expected: String) throws -> [String] {
    guard try Python.run(["-c", "import feast"], with: Python.feast).status == 0 else {
      print("Without Feast its client is not tried.")
      return []
    }
    let outcome = try Python.run(
      ["\(Python.scripts)/feast_online_check.py", "\(server.port)", expected], with: Python.feast)
    print(outcome.output.split(separator: "\n").first { $0.hasPrefix("feast: ") } ?? "")
    return outcome.status == 0 ? [] : [outcome.output]
  }

  /// The server keeps what its OpenAPI document says, whatever is drawn from it.
  private static func contract(_ server: Server, _ seed: UInt64) throws -> [String] {
    guard Python.has("schemathesis") else {
      print("Without schemathesis the OpenAPI document is not tried.")
      return []
    }
    let outcome = try Python.run([
      "-m", "schemathesis.cli", "run", "http://127.0.0.1:\(server.port)/openapi.json", "--no-color",
      "--max-examples", "30", "--seed", "\(seed % 1_000_000)", "--phases", "examples,coverage,fuzzing",
      // Nothing folds any more, so that this one rightly answers 503.
      "--exclude-path", "/v1/services/strict",
      "--checks",
      "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
    ])
    return outcome.status == 0 ? [] : ["seed \(seed): \(outcome.output.suffix(4_000))"]
  }
}
