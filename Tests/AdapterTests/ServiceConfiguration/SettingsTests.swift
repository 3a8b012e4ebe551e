import Foundation
import ServiceConfiguration
import Testing

@Suite struct SettingsTests {
  private func file(_ text: String, _ body: (String) throws -> Void) throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("settings-\(UUID()).yaml").path
    try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    defer { try? FileManager.default.removeItem(atPath: path) }
    try body(path)
  }

  @Test func laterOnesWin() throws {
    try file("workers: 2\nbrokers: a:1\nhttp: ':9464'\nkafka:\n  acks: all\n  client.rack: r1\n") { path in
      var settings = ServiceSettings()
      try settings.apply(path: path)
      try settings.apply(environment: [
        "PLUMB_WORKERS": "3", "PLUMB_KAFKA_CLIENT_RACK": "r2", "PLUMB_TEST_DATA": "/x", "HOME": "/root",
      ])
      try settings.set("workers", "4", from: "--workers")
      #expect(settings.workers == 4)
      #expect(settings.brokers == "a:1")
      #expect(settings.http?.description == "0.0.0.0:9464")
      #expect(settings.kafka == ["acks": "all", "client.rack": "r2"])
      let lines = settings.lines(isSecret: { _ in false })
      #expect(lines.contains("workers = 4 (--workers)"))
      #expect(lines.contains("brokers = a:1 (\(path):2)"))
      #expect(lines.contains("kafka.client.rack = r2 (PLUMB_KAFKA_CLIENT_RACK)"))
      #expect(lines.contains("delivery = exactly_once (default)"))
    }
  }

  @Test func masksSecrets() throws {
    var settings = ServiceSettings()
    try settings.set("redis", "redis://plumb:ge@heim@db:6379/2", from: "x")
    try settings.set("kafka.sasl.password", "geheim", from: "x")
    let text = settings.lines(isSecret: { $0.contains("password") }).joined(separator: "\n")
    #expect(text.contains("redis = redis://plumb:***@db:6379/2 (x)"))
    #expect(!text.contains("heim"))
  }

  @Test(
    arguments: [
      ("wokers: 1", "there is no setting 'wokers'; did you mean 'workers'?"),
      ("workers: 0", "workers is '0', but should be 1 to 256"),
      ("http: nowhere", "http is 'nowhere', but should be host:port, or off"),
      ("delivery: twice", "delivery is 'twice', but should be exactly_once or at_least_once"),
      ("brokers: [a, b]", "brokers should have one plain value"),
      ("kafka: x", "kafka should hold lines 'property: value'"),
    ])
  func refusesWithPlaceAndRemedy(_ line: String, _ message: String) throws {
    try file("# service\n\(line)\n") { path in
      var settings = ServiceSettings()
      let error = #expect(throws: SettingError.self) { try settings.apply(path: path) }
      #expect("\(error!)" == "\(path):2: \(message)")
    }
  }

  @Test func refusesWhatIsNoFile() throws {
    var settings = ServiceSettings()
    let error = #expect(throws: SettingError.self) { try settings.apply(path: "/nowhere/service.yaml") }
    #expect("\(error!)" == "/nowhere/service.yaml: there is no such file, or it can't be read")
    try file("- a\n- b\n") { path in
      #expect(throws: SettingError.self) { try settings.apply(path: path) }
    }
    try file("a: b: c\n") { path in #expect(throws: SettingError.self) { try settings.apply(path: path) } }
    try file("") { path in try settings.apply(path: path) }
  }
}
