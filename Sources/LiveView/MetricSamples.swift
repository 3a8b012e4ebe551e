/// The samples of one answer in Prometheus' text format.
public struct MetricSamples: Sendable {
  /// What tells a sample from others: its metric and its labels.
  public struct Identity: Hashable, Sendable {
    /// The metric, for a histogram with `_bucket`, `_sum` or `_count`.
    public var name: String
    /// The labels, by name.
    public var labels: [String: String]
  }

  /// The values.
  public private(set) var values: [Identity: Double] = [:]

  /// Reads a text. Lines that are no samples, comments among them, are passed over.
  public init(_ text: some StringProtocol) {
    for line in text.split(whereSeparator: \.isNewline) where !line.hasPrefix("#") {
      guard let space = line.lastIndex(of: " "), let value = Double(line[line.index(after: space)...]),
        let identity = Self.identity(line[..<space])
      else { continue }
      values[identity] = value
    }
  }

  /// The sum of a metric's samples that carry a label's value, or of all.
  public func sum(_ name: String, _ label: String? = nil, _ value: String = "") -> Double {
    values.reduce(0) { $0 + (Self.matches($1.key, name, label, value) ? $1.value : 0) }
  }

  /// The samples of a metric.
  public func all(_ name: String) -> [Double] { values.filter { $0.key.name == name }.map(\.value) }

  static func matches(_ identity: Identity, _ name: String, _ label: String?, _ value: String) -> Bool {
    identity.name == name && (label.map { identity.labels[$0] == value } ?? true)
  }

  /// `name` or `name{label="value",...}`; in a value, `\` escapes `\`, `"` and the newline.
  private static func identity(_ text: some StringProtocol) -> Identity? {
    guard let brace = text.firstIndex(of: "{") else {
      return text.isEmpty ? nil : Identity(name: String(text), labels: [:])
    }
    guard text.last == "}" else { return nil }
    var labels: [String: String] = [:]
    var name = ""
    var value: String?
    var isEscaped = false
    for character in text[text.index(after: brace)...].dropLast() {
      guard let open = value else {
        if character == "\"" {
          value = ""
        } else if character != "=" && character != "," {
          name.append(character)
        }
        continue
      }
      if isEscaped {
        value = open + (character == "n" ? "\n" : String(character))
        isEscaped = false
      } else if character == "\\" {
        isEscaped = true
      } else if character == "\"" {
        labels[name] = open
        (name, value) = ("", nil)
      } else {
        value = open + String(character)
      }
    }
    return value == nil ? Identity(name: String(text[..<brace]), labels: labels) : nil
  }
}
