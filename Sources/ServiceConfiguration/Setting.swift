import FeatureCore

/// One setting: how its text is read and written.
struct Setting: Sendable {
  let name: String
  /// What its text has to be, for errors.
  let expects: String
  /// Whether it may hold a password: then it may also be read from a file.
  var isSecret = false
  /// Takes a text over; false if it is no value of the setting.
  let parse: @Sendable (inout ServiceSettings, String) -> Bool
  let print: @Sendable (ServiceSettings) -> String

  static let all: [Setting] = [
    Setting(
      name: "brokers", expects: "host:port, several separated by commas",
      parse: { settings, text in
        settings.brokers = text
        return !text.isEmpty
      }, print: \.brokers),
    Setting(
      name: "redis",
      expects: "redis://[user:password@]host[:port][/database], rediss://, redis+sentinel:// or unix:///path",
      isSecret: true,
      parse: { settings, text in
        settings.redis = text
        return !text.isEmpty
      }, print: \.redis),
    Setting(
      name: "workers", expects: "1 to 256",
      parse: { settings, text in number(text, 1...256) { settings.workers = $0 } },
      print: { "\($0.workers)" }),
    Setting(
      // Kafka's rule for a group's members.
      name: "instance", expects: "at most 200 letters, digits, '.', '_' and '-'",
      parse: { settings, text in
        settings.instance = text
        return (1...200).contains(text.utf8.count)
          && text.allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) }
      }, print: { $0.instance ?? "the host's name" }),
    Setting(
      name: "delivery", expects: "exactly_once or at_least_once",
      parse: { settings, text in choice(text, ["exactly_once", "at_least_once"]) { settings.delivery = $0 } },
      print: \.delivery),
    Setting(
      name: "commit_interval_ms", expects: "1 to 60000",
      parse: { settings, text in number(text, 1...60_000) { settings.commitIntervalMilliseconds = $0 } },
      print: { "\($0.commitIntervalMilliseconds)" }),
    Setting(
      name: "cached_states", expects: "2 or more",
      parse: { settings, text in number(text, 2...Int(Int32.max)) { settings.cachedStates = $0 } },
      print: { "\($0.cachedStates)" }),
    Setting(
      name: "cached_megabytes", expects: "1 or more",
      parse: { settings, text in number(text, 1...1_000_000) { settings.cachedMegabytes = $0 } },
      print: { "\($0.cachedMegabytes)" }),
    Setting(
      name: "http", expects: "host:port, or off",
      parse: { settings, text in
        settings.http = ServiceSettings.HostAndPort(text)
        return settings.http != nil || text == "off"
      }, print: { $0.http?.description ?? "off" }),
    Setting(
      name: "listen", expects: "host:port",
      parse: { settings, text in
        guard let address = ServiceSettings.HostAndPort(text) else { return false }
        settings.listen = address
        return true
      }, print: { $0.listen.description }),
    Setting(
      name: "tokens", expects: "the path of a file, or none",
      parse: { settings, text in
        settings.tokens = text == "none" ? nil : text
        settings.allowsAnyone = text == "none"
        return !text.isEmpty
      }, print: { $0.tokens ?? "none" }),
    Setting(
      name: "tls_cert", expects: "the path of a PEM file",
      parse: { settings, text in
        settings.tlsCertificate = text
        return !text.isEmpty
      }, print: { $0.tlsCertificate ?? "none" }),
    Setting(
      name: "tls_key", expects: "the path of a PEM file",
      parse: { settings, text in
        settings.tlsKey = text
        return !text.isEmpty
      }, print: { $0.tlsKey ?? "none" }),
    Setting(
      name: "predictions", expects: "names of sources, separated by commas, or none",
      parse: { settings, text in
        let names = text == "none" ? [] : text.split(separator: ",", omittingEmptySubsequences: false)
        settings.predictions = names.map(String.init)
        return !settings.predictions.contains("")
      }, print: { $0.predictions.isEmpty ? "none" : $0.predictions.joined(separator: ",") }),
    Setting(
      name: "prediction_rows_max", expects: "1 to 10000000",
      parse: { settings, text in number(text, 1...10_000_000) { settings.predictionRowsMax = $0 } },
      print: { "\($0.predictionRowsMax)" }),
    Setting(
      name: "rows_max", expects: "1 to 100000",
      parse: { settings, text in number(text, 1...100_000) { settings.rowsMax = $0 } },
      print: { "\($0.rowsMax)" }),
    Setting(
      name: "request_bytes_max", expects: "1000 to 1000000000",
      parse: { settings, text in number(text, 1_000...1_000_000_000) { settings.requestBytesMax = $0 } },
      print: { "\($0.requestBytesMax)" }),
    Setting(
      name: "requests_megabytes_max", expects: "1 to 1000000",
      parse: { settings, text in number(text, 1...1_000_000) { settings.requestsMegabytesMax = $0 } },
      print: { "\($0.requestsMegabytesMax)" }),
    Setting(
      name: "connections_max", expects: "16 to 60000",
      parse: { settings, text in number(text, 16...60_000) { settings.connectionsMax = $0 } },
      print: { "\($0.connectionsMax)" }),
    Setting(
      name: "client_timeout_s", expects: "1 to 3600",
      parse: { settings, text in number(text, 1...3_600) { settings.clientTimeoutSeconds = $0 } },
      print: { "\($0.clientTimeoutSeconds)" }),
    Setting(
      name: "idle_timeout_s", expects: "1 to 86400",
      parse: { settings, text in number(text, 1...86_400) { settings.idleTimeoutSeconds = $0 } },
      print: { "\($0.idleTimeoutSeconds)" }),
    Setting(
      name: "request_timeout_ms", expects: "10 to 60000",
      parse: { settings, text in number(text, 10...60_000) { settings.requestTimeoutMilliseconds = $0 } },
      print: { "\($0.requestTimeoutMilliseconds)" }),
    Setting(
      name: "served_rows_max", expects: "1 to 10000000",
      parse: { settings, text in number(text, 1...10_000_000) { settings.servedRowsMax = $0 } },
      print: { "\($0.servedRowsMax)" }),
    Setting(
      name: "readers", expects: "1 to 64",
      parse: { settings, text in number(text, 1...64) { settings.readers = $0 } },
      print: { "\($0.readers)" }),
    Setting(
      name: "event_loops", expects: "1 to 64",
      parse: { settings, text in number(text, 1...64) { settings.eventLoops = $0 } },
      print: { "\($0.eventLoops)" }),
    Setting(
      name: "log_level", expects: "trace, debug, info, notice, warning, error or critical",
      parse: { settings, text in
        // What most other programs call a warning.
        choice(text == "warn" ? "warning" : text, logLevels) {
          settings.logLevel = $0
        }
      }, print: \.logLevel),
    Setting(
      name: "log_format", expects: "text or json",
      parse: { settings, text in choice(text, ["text", "json"]) { settings.logFormat = $0 } },
      print: \.logFormat),
  ]

  private static let logLevels = ["trace", "debug", "info", "notice", "warning", "error", "critical"]

  static func unknown(_ name: String) -> String {
    let meant =
      Suggestion.didYouMean(
        name, among: all.map(\.name) + all.filter(\.isSecret).map { "\($0.name)_file" } + ["kafka"])
      ?? "there are \(all.map(\.name).joined(separator: ", ")) and kafka"
    return "there is no setting '\(name)'; \(meant)"
  }

  private static func number(_ text: String, _ range: ClosedRange<Int>, _ take: (Int) -> Void) -> Bool {
    guard let number = Int(text), range.contains(number) else { return false }
    take(number)
    return true
  }

  private static func choice(_ text: String, _ choices: [String], _ take: (String) -> Void) -> Bool {
    guard choices.contains(text) else { return false }
    take(text)
    return true
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
