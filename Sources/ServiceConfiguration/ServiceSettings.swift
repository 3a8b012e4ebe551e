/// What the service and its tools can be told, from a file, the environment and flags: later ones win.
public struct ServiceSettings: Sendable {
  /// Host and port of some Kafka brokers, separated by commas.
  public internal(set) var brokers = "127.0.0.1:9092"
  /// Address of Redis.
  public internal(set) var redis = "redis://127.0.0.1:6379"
  /// Threads, each with a consumer, a producer and a Redis connection.
  public internal(set) var workers = 1
  /// Names the process among those that run; nil: the host's name.
  public internal(set) var instance: String?
  /// What readers of the output topics are promised.
  public internal(set) var delivery = Delivery.exactlyOnce
  /// Milliseconds between two commits.
  public internal(set) var commitIntervalMilliseconds = 100
  /// States of one view of one partition in memory.
  public internal(set) var cachedStates = 100_000
  /// MiB that the states in memory of one worker take up, about.
  public internal(set) var cachedMegabytes = 1024
  /// Where metrics and health are answered over HTTP; nil: nowhere.
  public internal(set) var http: HostAndPort?
  /// Where features are answered over HTTP.
  public internal(set) var listen = HostAndPort(host: "127.0.0.1", port: 6566)
  /// Who may ask the feature server.
  public internal(set) var admission = Admission.thisMachine
  /// Certificate chain and private key of the feature server, in PEM files; nil: no TLS.
  public internal(set) var tlsCertificate: String?
  /// See `tlsCertificate`.
  public internal(set) var tlsKey: String?
  /// Sources that clients of the feature server may write to.
  public internal(set) var predictions: [String] = []
  /// Rows of theirs that wait for the brokers; more are refused.
  public internal(set) var predictionRowsMax = 10_000
  /// Rows of one request to the feature server.
  public internal(set) var rowsMax = 1_000
  /// Bytes of one request to the feature server.
  public internal(set) var requestBytesMax = 1 << 20
  /// MiB of all requests that it is receiving or answering.
  public internal(set) var requestsMegabytesMax = 64
  /// Connections of clients to the feature server.
  public internal(set) var connectionsMax = 4_096
  /// Seconds in which a client has to send a request, and to take an answer.
  public internal(set) var clientTimeoutSeconds = 10
  /// Seconds that a connection is kept without a request.
  public internal(set) var idleTimeoutSeconds = 75
  /// Milliseconds that a request may wait for Redis.
  public internal(set) var requestTimeoutMilliseconds = 2_000
  /// Rows of answers that wait to be logged; more are dropped.
  public internal(set) var servedRowsMax = 50_000
  /// Threads of the feature server that read Redis.
  public internal(set) var readers = 2
  /// Threads of the feature server that parse and write.
  public internal(set) var eventLoops = 1
  /// The least grave log lines that are written.
  public internal(set) var logLevel = LogLevel.info
  /// How log lines look.
  public internal(set) var logFormat = LogFormat.text
  /// Properties of librdkafka.
  public internal(set) var kafka: [String: String] = [:]
  /// Where each setting that isn't a default comes from, by name.
  var origins: [String: String] = [:]

  /// The defaults.
  public init() {}

  /// What readers of the output topics are promised.
  public enum Delivery: String, Sendable {
    /// Each record once, whatever crashes.
    case exactlyOnce = "exactly_once"
    /// Each record, and some again after a crash: for brokers without transactions.
    case atLeastOnce = "at_least_once"
  }

  /// Who may ask the feature server.
  public enum Admission: Hashable, Sendable {
    /// Anyone, as long as only this machine can reach it.
    case thisMachine
    /// Anyone who reaches it.
    case anyone
    /// Who has one of the bearer tokens of a file.
    case tokens(path: String)
  }

  /// How grave a log line is, as swift-log has it.
  public enum LogLevel: String, Sendable {
    /// A level.
    case trace, debug, info, notice, warning, error, critical
  }

  /// How log lines look.
  public enum LogFormat: String, Sendable {
    /// For people.
    case text
    /// For machines.
    case json
  }

  /// An address to listen on.
  public struct HostAndPort: Hashable, Sendable, CustomStringConvertible {
    /// A name or an address.
    public var host: String
    /// The port; 0 takes any free one.
    public var port: Int
    /// `host:port`.
    public var description: String { "\(host):\(port)" }
  }

  /// A setting that somebody has given.
  typealias Given = (name: String, text: String, origin: String)

  /// Sets one setting from its text. `origin` says who did, for errors and for the effective configuration.
  /// `redis_file`, and for any property of librdkafka the property with `.file` behind it, names a file with the text.
  public mutating func set(_ name: String, _ text: String, from origin: String) throws(SettingError) {
    if let target = Self.named(byFile: name) {
      return try set(target, SecretFile.read(text, target, from: origin), from: origin)
    }
    if name.hasPrefix(Self.kafkaPrefix) {
      kafka[String(name.dropFirst(Self.kafkaPrefix.count))] = text
    } else {
      guard let setting = Setting.all.first(where: { $0.name == name }) else {
        throw SettingError(origin, Setting.unknown(name))
      }
      guard setting.parse(&self, text) else {
        throw SettingError(
          origin, "\(name) is '\(setting.isSecret ? mask(text) : text)', but should be \(setting.expects)")
      }
    }
    origins[name] = origin
  }

  /// Takes over every variable `PLUMB_<SETTING>`, and `PLUMB_KAFKA_<PROPERTY>` with `_` for the property's dots.
  /// With `_FILE` behind it a variable names the file that a secret is in.
  public mutating func apply(environment: [String: String]) throws(SettingError) {
    var given: [Given] = []
    for (variable, value) in environment.sorted(by: { $0.key < $1.key }) {
      let name = variable.dropFirst("PLUMB_".count).lowercased()
      guard variable.hasPrefix("PLUMB_") else { continue }
      if name.hasPrefix("kafka_") {
        let property = name.dropFirst("kafka_".count).replacing("_", with: ".")
        given.append((Self.kafkaPrefix + property, value, variable))
      } else if Setting.all.contains(where: { $0.name == Self.named(byFile: name) ?? name }) {
        given.append((name, value, variable))
      }
    }
    try apply(given)
  }

  /// Takes over flags, by the names of their settings.
  public mutating func apply(flags: [(name: String, text: String)]) throws(SettingError) {
    try apply(
      flags.map { name, text in
        (name, text, name.hasPrefix(Self.kafkaPrefix) ? "-X" : "--\(name.replacing("_", with: "-"))")
      })
  }

  /// Takes over what one place gives: there, nothing may stand twice.
  mutating func apply(_ given: [Given]) throws(SettingError) {
    for (name, text, origin) in given {
      if let target = Self.named(byFile: name), given.contains(where: { $0.name == target }) {
        throw SettingError(origin, "\(target) is given too, itself: keep one of them")
      }
      try set(name, text, from: origin)
    }
  }

  /// The setting whose text is in a file, if that is what a name means.
  private static func named(byFile name: String) -> String? {
    if name.hasPrefix(kafkaPrefix) {
      let isFile = name.hasSuffix(".file") && name.count > kafkaPrefix.count + ".file".count
      return isFile ? String(name.dropLast(".file".count)) : nil
    }
    return Setting.all.first { $0.isSecret && "\($0.name)_file" == name }?.name
  }

  /// The effective configuration, a line `name = value (origin)` for each setting. Passwords are masked; so are
  /// the Kafka properties that `isSecret` names.
  public func lines(isSecret: (String) -> Bool) -> [String] {
    let own = Setting.all.map { setting in
      let value = setting.print(self)
      return (setting.name, setting.isSecret ? mask(value) : value)
    }
    let properties = kafka.sorted { $0.key < $1.key }.map { name, value in
      (Self.kafkaPrefix + name, isSecret(name) ? "***" : value)
    }
    return (own + properties).map { name, value in "\(name) = \(value) (\(origins[name] ?? "default"))" }
  }

  /// Takes another default for the workers, unless somebody has set them.
  public mutating func setDefault(workers: Int) {
    if origins["workers"] == nil { self.workers = workers }
  }

  static let kafkaPrefix = "kafka."
}

/// What is wrong with a setting, and where.
public struct SettingError: Error, Sendable, CustomStringConvertible {
  /// Who set it, what is wrong, and what to do.
  public let description: String

  init(_ origin: String, _ message: String) { description = "\(origin): \(message)" }
}

/// An address with everything masked that may be a secret: `redis://user:***@host`. Of parameters only those are shown
/// that are known to be none; what is no address, or can be read in two ways, is masked whole.
func mask(_ address: String) -> String {
  guard let scheme = address.firstRange(of: "://") else { return "***" }
  let head = address[..<scheme.upperBound]
  var rest = address[scheme.upperBound...]
  var shown = ""
  if let at = rest.lastIndex(of: "@") {
    let credentials = rest[..<at]
    guard !credentials.contains("?") else { return head + "***" }
    // Alone it may be a user or a forgotten colon before a password.
    shown = credentials.contains(":") ? credentials.prefix { $0 != ":" } + ":***" : "***"
    rest = rest[at...]
  }
  let question = rest.firstIndex(of: "?") ?? rest.endIndex
  shown += rest[..<question]
  guard question < rest.endIndex else { return head + shown }
  let harmless = ["ca_file", "cert_file", "key_file", "server_name", "sentinel_user", "db"]
  let parameters = rest[question...].dropFirst().split(separator: "&", omittingEmptySubsequences: false)
  let masked = parameters.map { parameter -> String in
    let name = parameter.prefix { $0 != "=" }
    if harmless.contains(where: { name == $0 }) { return String(parameter) }
    return name == "sentinel_password" ? "sentinel_password=***" : "***"
  }
  return head + shown + "?" + masked.joined(separator: "&")
}
