import FeatureCore
import Foundation
public import Logging
import Synchronization

/// How log lines look.
public enum LogFormat: String, Sendable, CaseIterable {
  /// For people: time, level, message, `name=value`.
  case text
  /// For machines: one JSON object a line with `time`, `level`, `message` and the metadata.
  case json
}

/// Writes log lines to a sink, one call a line.
public struct LineLogHandler: LogHandler {
  private let format: LogFormat
  private let write: @Sendable (String) -> Void
  /// See `LogHandler`.
  public var logLevel: Logger.Level
  /// See `LogHandler`.
  public var metadata: Logger.Metadata = [:]
  /// See `LogHandler`.
  public var metadataProvider: Logger.MetadataProvider?

  /// A handler for lines from some level on.
  public init(_ format: LogFormat, level: Logger.Level, write: @escaping @Sendable (String) -> Void) {
    self.format = format
    self.write = write
    logLevel = level
  }

  /// See `LogHandler`.
  public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { metadata[key] }
    set { metadata[key] = newValue }
  }

  /// See `LogHandler`.
  public func log(event: LogEvent) {
    var fields = metadata.merging(metadataProvider?.get() ?? [:]) { $1 }
    fields.merge(event.metadata ?? [:]) { $1 }
    if let error = event.error { fields["error"] = "\(error)" }
    let time = Date().formatted(Self.timeStyle)
    let named = fields.sorted { $0.key < $1.key }.map { ($0.key, "\($0.value)") }
    switch format {
    case .text:
      let level = event.level.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)
      let pairs = named.map { " \($0)=\($1.contains(" ") ? Self.quoted($1) : $1)" }.joined()
      // One line an event, and nothing that acts on a terminal, whatever a library or a user's key says.
      write("\(time) \(level) " + Text("\(event.message)\(pairs)").escaped)
    case .json:
      let own = [("time", time), ("level", event.level.rawValue), ("message", "\(event.message)")]
      write("{" + (own + named).map { "\(Self.quoted($0)):\(Self.quoted($1))" }.joined(separator: ",") + "}")
    }
  }

  private static let timeStyle = Date.ISO8601FormatStyle(includingFractionalSeconds: true)

  /// A JSON string.
  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case "\n": quoted += "\\n"
      // Besides what JSON asks for: what acts on a terminal that shows the line.
      case _ where scalar.value < 0x20 || (0x7F..<0xA0).contains(scalar.value):
        quoted += "\\u00" + String(format: "%02x", scalar.value)
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }
}
