import FeatureCore

/// One setting: where its value is, and how that is read and written.
struct Setting: Sendable {
  let name: String
  /// What its text has to be, for errors.
  let expects: String
  /// Whether it may hold a password: then it may also be read from a file.
  let isSecret: Bool
  /// Takes a text over; false if it is no value of the setting.
  let parse: @Sendable (inout ServiceSettings, String) -> Bool
  let print: @Sendable (ServiceSettings) -> String

  init<Value>(
    _ name: String, _ path: any WritableKeyPath<ServiceSettings, Value> & Sendable,
    _ form: SettingForm<Value>,
    isSecret: Bool = false
  ) {
    self.name = name
    self.isSecret = isSecret
    expects = form.expects
    parse = { settings, text in
      guard let value = form.parse(text) else { return false }
      settings[keyPath: path] = value
      return true
    }
    print = { form.print($0[keyPath: path]) }
  }

  /// In the order in which `--print-config` shows them.
  static let all: [Setting] = [
    Setting("brokers", \.brokers, .text("host:port, several separated by commas")),
    Setting(
      "redis", \.redis,
      .text(
        "redis://[user:password@]host[:port][/database], rediss://, redis+sentinel:// or unix:///path"),
      isSecret: true),
    Setting("workers", \.workers, .integer(1...256)),
    Setting("instance", \.instance, .instance),
    Setting("delivery", \.delivery, .choice("exactly_once or at_least_once")),
    Setting("commit_interval_ms", \.commitIntervalMilliseconds, .integer(1...60_000)),
    Setting("cached_states", \.cachedStates, .integer(2...Int(Int32.max), expects: "2 or more")),
    Setting("cached_megabytes", \.cachedMegabytes, .integer(1...1_000_000, expects: "1 or more")),
    Setting("http", \.http, .addressOrOff),
    Setting("listen", \.listen, .address),
    Setting("tokens", \.admission, .admission),
    Setting("tls_cert", \.tlsCertificate, .pemFile),
    Setting("tls_key", \.tlsKey, .pemFile),
    Setting("predictions", \.predictions, .names("names of sources, separated by commas, or none")),
    Setting("prediction_rows_max", \.predictionRowsMax, .integer(1...10_000_000)),
    Setting("rows_max", \.rowsMax, .integer(1...100_000)),
    Setting("request_bytes_max", \.requestBytesMax, .integer(1_000...1_000_000_000)),
    Setting("requests_megabytes_max", \.requestsMegabytesMax, .integer(1...1_000_000)),
    Setting("connections_max", \.connectionsMax, .integer(16...60_000)),
    Setting("client_timeout_s", \.clientTimeoutSeconds, .integer(1...3_600)),
    Setting("idle_timeout_s", \.idleTimeoutSeconds, .integer(1...86_400)),
    Setting("request_timeout_ms", \.requestTimeoutMilliseconds, .integer(10...60_000)),
    Setting("served_rows_max", \.servedRowsMax, .integer(1...10_000_000)),
    Setting("readers", \.readers, .integer(1...64)),
    Setting("event_loops", \.eventLoops, .integer(1...64)),
    Setting(
      // What most other programs call a warning.
      "log_level", \.logLevel,
      .choice(
        "trace, debug, info, notice, warning, error or critical", synonyms: ["warn": .warning])),
    Setting("log_format", \.logFormat, .choice("text or json")),
  ]

  static func unknown(_ name: String) -> String {
    let meant =
      Suggestion.didYouMean(
        name, among: all.map(\.name) + all.filter(\.isSecret).map { "\($0.name)_file" } + ["kafka"])
      ?? "there are \(all.map(\.name).joined(separator: ", ")) and kafka"
    return "there is no setting '\(name)'; \(meant)"
  }
}

/// How values of a type are written as text.
struct SettingForm<Value>: Sendable {
  let expects: String
  /// nil: it is none.
  let parse: @Sendable (String) -> Value?
  let print: @Sendable (Value) -> String
}

extension SettingForm<Int> {
  static func integer(_ range: ClosedRange<Int>, expects: String? = nil) -> Self {
    Self(
      expects: expects ?? "\(range.lowerBound) to \(range.upperBound)",
      parse: { text in Int(text).flatMap { range.contains($0) ? $0 : nil } }, print: { "\($0)" })
  }
}

extension SettingForm<String> {
  static func text(_ expects: String) -> Self {
    Self(expects: expects, parse: { $0.isEmpty ? nil : $0 }, print: { $0 })
  }
}

extension SettingForm where Value: RawRepresentable<String> & Sendable {
  static func choice(_ expects: String, synonyms: [String: Value] = [:]) -> Self {
    Self(expects: expects, parse: { synonyms[$0] ?? Value(rawValue: $0) }, print: { $0.rawValue })
  }
}

extension SettingForm<[String]> {
  static func names(_ expects: String) -> Self {
    Self(
      expects: expects,
      parse: { text in
        let names = text == "none" ? [] : text.split(separator: ",", omittingEmptySubsequences: false)
        return names.contains("") ? nil : names.map(String.init)
      }, print: { $0.isEmpty ? "none" : $0.joined(separator: ",") })
  }
}

extension SettingForm<String?> {
  /// Kafka's rule for a group's members.
  static var instance: Self {
    Self(
      expects: "at most 200 letters, digits, '.', '_' and '-'",
      parse: { text in
        let isName =
          (1...200).contains(text.utf8.count)
          && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
        return isName ? .some(text) : nil
      }, print: { $0 ?? "the host's name" })
  }

  static var pemFile: Self {
    Self(
      expects: "the path of a PEM file", parse: { $0.isEmpty ? nil : .some($0) }, print: { $0 ?? "none" })
  }
}

extension SettingForm<ServiceSettings.HostAndPort> {
  static var address: Self {
    Self(expects: "host:port", parse: { ServiceSettings.HostAndPort($0) }, print: { $0.description })
  }
}

extension SettingForm<ServiceSettings.HostAndPort?> {
  static var addressOrOff: Self {
    Self(
      expects: "host:port, or off",
      parse: { text in
        text == "off" ? .some(nil) : ServiceSettings.HostAndPort(text).map { .some($0) }
      }, print: { $0?.description ?? "off" })
  }
}

extension SettingForm<ServiceSettings.Admission> {
  static var admission: Self {
    Self(
      expects: "the path of a file, or none",
      parse: { $0 == "none" ? .anyone : $0.isEmpty ? nil : .tokens(path: $0) },
      print: { if case .tokens(let path) = $0 { path } else { "none" } })
  }
}

extension ServiceSettings.HostAndPort {
  /// From `host:port`, `[address]:port` for IPv6, or `:port` for every address.
  public init?(_ text: String) {
    guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]),
      (0...65_535).contains(port)
    else { return nil }
    let host = text[..<colon].drop { $0 == "[" }.prefix { $0 != "]" }
    self.init(host: host.isEmpty ? "0.0.0.0" : String(host), port: port)
  }
}
