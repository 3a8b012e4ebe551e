/// A line for a terminal: pieces of text with a style.
struct StyledLine {
  /// How a piece looks, as a parameter of the terminal's SGR sequence.
  enum Style: String {
    case plain = "0"
    case bold = "1"
    case faint = "2"
    case alarm = "1;31"
  }

  private var pieces: [(text: String, style: Style)] = []
  private(set) var width = 0

  init(_ text: String = "", _ style: Style = .plain) { append(text, style) }

  mutating func append(_ text: String, _ style: Style = .plain) {
    // What is in data must not steer the terminal.
    let shown = String(
      text.map { $0.unicodeScalars.contains { $0.properties.generalCategory == .control } ? "?" : $0 })
    pieces.append((shown, style))
    width += shown.count
  }

  /// Fills up with blanks to a column.
  mutating func pad(to column: Int) {
    if width < column { append(String(repeating: " ", count: column - width)) }
  }

  /// The text without styles.
  var text: String { pieces.map(\.text).joined() }

  /// The line, cut at a width.
  func rendered(columns: Int, isStyled: Bool = true) -> String {
    var left = columns
    var rendered = ""
    for (text, style) in pieces where left > 0 {
      let shown = text.prefix(left)
      left -= shown.count
      rendered += style == .plain || !isStyled ? String(shown) : "\u{1B}[\(style.rawValue)m\(shown)\u{1B}[0m"
    }
    return rendered
  }
}

/// Text cut to a width, with an ellipsis in place of what is missing.
func cut(_ text: String, _ width: Int) -> String {
  text.count <= width ? text : text.prefix(max(0, width - 1)) + "…"
}

/// A whole number with separators: `12,345`.
func grouped(_ number: Double) -> String {
  let digits = Array(String(Int64(number.rounded())))
  var text = ""
  for (index, digit) in digits.enumerated() {
    if index > 0, (digits.count - index) % 3 == 0, digits[index - 1] != "-" { text += "," }
    text.append(digit)
  }
  return text
}

/// A length of time in a unit that suits it: `0.4 ms`, `12 ms`, `3.2 s`, `5 min`.
func shortTime(_ seconds: Double) -> String {
  func tenths(_ value: Double) -> String {
    let tenths = Int((value * 10).rounded())
    return "\(tenths / 10).\(tenths % 10)"
  }
  if seconds < 0.000_05 { return "0 s" }
  if seconds < 0.009_95 { return "\(tenths(seconds * 1_000)) ms" }
  if seconds < 0.995 { return "\(Int((seconds * 1_000).rounded())) ms" }
  if seconds < 99.5 { return "\(tenths(seconds)) s" }
  return "\(Int((seconds / 60).rounded())) min"
}
