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

  @Test func limitsOfTheFeatureServerAreSettings() throws {
    let limits = [
      ("rows_max", "7"), ("request_bytes_max", "2000"), ("requests_megabytes_max", "3"),
      ("connections_max", "19"), ("client_timeout_s", "4"), ("idle_timeout_s", "5"),
      ("request_timeout_ms", "600"), ("served_rows_max", "8"), ("prediction_rows_max", "6"),
    ]
    var settings = ServiceSettings()
    try settings.apply(flags: limits)
    let lines = settings.lines(isSecret: { _ in false })
    for (name, text) in limits {
      let flag = "--\(name.replacing("_", with: "-"))"
      #expect(lines.contains("\(name) = \(text) (\(flag))"))
      #expect(throws: SettingError.self) { try settings.set(name, "0", from: "x") }
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

  /// Every form that an address can have, and some that it can't.
  @Test(arguments: [
    ("redis://SECRET@h", "redis://***@h"), ("redis://:SECRET@h:1/2", "redis://:***@h:1/2"),
    ("redis://u:SECRET@SECRET@h", "redis://u:***@h"), ("redis://u:SEC/RET@h/0", "redis://u:***@h/0"),
    ("redis://u:SEC?RET@h", "redis://***"), ("redis://h?password=SECRET", "redis://h?***"),
    ("redis://h?PASSWORD=SECRET&db=1&SECRET", "redis://h?***&db=1&***"),
    ("redis://h?pass%77ord=SECRET", "redis://h?***"), ("REDIS://u:SECRET@h", "REDIS://u:***@h"),
    ("unix://u:SECRET@/path?db=1", "unix://u:***@/path?db=1"),
    ("unix:///path?auth=SECRET", "unix:///path?***"),
    (
      "redis+sentinel://a:1,b:2/shop?sentinel_user=u&sentinel_password=SECRET",
      "redis+sentinel://a:1,b:2/shop?sentinel_user=u&sentinel_password=***"
    ),
    ("redis+sentinel://a/shop?sentinel_password=SEC@RET", "redis+sentinel://***"), ("SECRET", "***"),
    ("u:SECRET@h", "***"),
  ])
  func masksEveryForm(_ address: String, _ shown: String) throws {
    var settings = ServiceSettings()
    try settings.set("redis", address, from: "x")
    #expect(settings.lines(isSecret: { _ in true }).contains("redis = \(shown) (x)"))
  }

  @Test(arguments: [
    "redis: \"redis://u:geheim@h", "redis: redis://u:geheim@h: x", "kafka:\n  a: 'geheim\nb: {",
    "redis: *geheim",
  ])
  func syntaxErrorsQuoteNoLine(_ text: String) throws {
    try file(text) { path in
      var settings = ServiceSettings()
      let error = #expect(throws: SettingError.self) { try settings.apply(path: path) }
      let message = "\(error!)"
      #expect(
        message.hasPrefix("\(path):") && message.contains("this is no YAML") && !message.contains("geheim"))
    }
  }

  @Test func secretsAreReadFromFiles() throws {
    try file("redis://plumb:geheim@db:6379/2\n") { redis in
      try file("ge heim\r\n") { password in
        try file("redis_file: \(redis)\nkafka:\n  consumer.sasl.password.file: \(password)\n") { path in
          var settings = ServiceSettings()
          try settings.apply(path: path)
          #expect(settings.redis == "redis://plumb:geheim@db:6379/2")
          #expect(settings.kafka == ["consumer.sasl.password": "ge heim"])
          let lines = settings.lines(isSecret: { $0.contains("password") })
          #expect(lines.contains("redis = redis://plumb:***@db:6379/2 (\(path):1)"))
          #expect(!lines.joined().contains("heim"))
        }
        var settings = ServiceSettings()
        try settings.apply(environment: [
          "PLUMB_REDIS_FILE": redis, "PLUMB_KAFKA_SASL_PASSWORD_FILE": password, "PLUMB_WORKERS_FILE": "/x",
        ])
        #expect(settings.redis == "redis://plumb:geheim@db:6379/2")
        #expect(settings.kafka == ["sasl.password": "ge heim"])
        // A later place wins over an earlier one, whichever way each gives it.
        try settings.apply(flags: [("redis", "redis://other"), ("kafka.sasl.password", "x")])
        #expect(settings.redis == "redis://other" && settings.kafka == ["sasl.password": "x"])
        try settings.apply(flags: [("redis_file", redis)])
        #expect(settings.redis.hasSuffix("@db:6379/2"))
      }
    }
  }

  @Test func secretsThatAreNoneAreRefused() throws {
    func expect(
      _ environment: [String: String], _ message: String, _ location: SourceLocation = #_sourceLocation
    ) {
      var settings = ServiceSettings()
      let error = #expect(throws: SettingError.self) { try settings.apply(environment: environment) }
      #expect("\(error!)" == message, sourceLocation: location)
    }
    let missing =
      "PLUMB_REDIS_FILE: cannot read the secret of redis: /nowhere/redis: No such file or directory"
    expect(["PLUMB_REDIS_FILE": "/nowhere/redis"], missing)
    expect(
      ["PLUMB_REDIS_FILE": "/tmp"],
      "PLUMB_REDIS_FILE: cannot read the secret of redis: /tmp: it is no file, or its reading failed")
    for text in ["", "\n", "geheim\ngeheim\n", String(repeating: "geheim", count: 20_000)] {
      try file(text) { path in
        expect(
          ["PLUMB_KAFKA_SASL_PASSWORD_FILE": path],
          "PLUMB_KAFKA_SASL_PASSWORD_FILE: there is no secret in the file of kafka.sasl.password: \(path): it should "
            + "hold one line of UTF-8")
        expect(
          ["PLUMB_REDIS_FILE": path, "PLUMB_REDIS": "redis://a"],
          "PLUMB_REDIS_FILE: redis is given too, itself: keep one of them")
      }
    }
    // A password alone, where the whole address should be.
    try file("geheim") { path in
      var settings = ServiceSettings()
      try settings.apply(environment: ["PLUMB_REDIS_FILE": path])
      #expect(settings.lines(isSecret: { _ in false }).contains("redis = *** (PLUMB_REDIS_FILE)"))
      try settings.set("redis", "rediss+sentinel://:ge@s/shop/0?sentinel_password=heim&ca_file=/a", from: "x")
      let masked = "redis = rediss+sentinel://:***@s/shop/0?sentinel_password=***&ca_file=/a (x)"
      #expect(settings.lines(isSecret: { _ in false }).contains(masked))
    }
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

  /// A text is decoded where it is given: what asks for it later can't find another meaning.
  @Test func choicesAreTyped() throws {
    var settings = ServiceSettings()
    #expect(settings.delivery == .exactlyOnce && settings.logLevel == .info && settings.logFormat == .text)
    #expect(settings.admission == .thisMachine)
    try settings.apply(environment: ["PLUMB_LOG_LEVEL": "warn", "PLUMB_TOKENS": "none"])
    try settings.apply(flags: [("delivery", "at_least_once"), ("log_format", "json")])
    #expect(settings.delivery == .atLeastOnce && settings.logLevel == .warning && settings.logFormat == .json)
    #expect(settings.admission == .anyone)
    let lines = settings.lines(isSecret: { _ in false })
    #expect(lines.contains("log_level = warning (PLUMB_LOG_LEVEL)"))
    #expect(lines.contains("tokens = none (PLUMB_TOKENS)"))
    try settings.set("tokens", "/etc/tokens", from: "--tokens")
    #expect(settings.admission == .tokens(path: "/etc/tokens"))
    #expect(throws: SettingError.self) { try settings.set("log_level", "loud", from: "x") }
    #expect(settings.logLevel == .warning)
  }

  @Test func anotherDefaultYieldsToWhatIsSet() throws {
    var settings = ServiceSettings()
    settings.setDefault(workers: 7)
    #expect(settings.workers == 7)
    try settings.set("workers", "3", from: "--workers")
    settings.setDefault(workers: 9)
    #expect(settings.workers == 3)
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
