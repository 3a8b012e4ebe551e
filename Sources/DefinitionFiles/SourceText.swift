import Yams

/// A place in a file, counted from 1; columns count Unicode scalars, as libYAML does.
struct Position: Hashable, Comparable {
  var line: Int
  var column: Int

  static let start = Position(line: 1, column: 1)

  static func < (lhs: Position, rhs: Position) -> Bool {
    (lhs.line, lhs.column) < (rhs.line, rhs.column)
  }
}

/// The text of a file, cut into lines where libYAML cuts it, so that its marks can be followed.
struct SourceText {
  private(set) var scalars: [Unicode.Scalar]
  private let lineStarts: [Int]

  init(_ text: String) {
    var scalars = Array(text.unicodeScalars)
    if scalars.first == "\u{FEFF}" { scalars.removeFirst() }
    var starts = [0]
    var index = 0
    while index < scalars.count {
      let length = Self.breakLength(scalars, at: index)
      index += max(length, 1)
      if length > 0 { starts.append(index) }
    }
    self.scalars = scalars
    lineStarts = starts
  }

  /// The whole text.
  var text: String {
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars)
    return String(view)
  }

  /// The scalar at an index; nil behind the end.
  func scalar(at index: Int) -> Unicode.Scalar? {
    scalars.indices.contains(index) ? scalars[index] : nil
  }

  /// How many scalars the line break at an index has; 0 if none stands there.
  func breakLength(at index: Int) -> Int { Self.breakLength(scalars, at: index) }

  private static func breakLength(_ scalars: [Unicode.Scalar], at index: Int) -> Int {
    guard scalars.indices.contains(index) else { return 0 }
    switch scalars[index] {
    case "\r": return index + 1 < scalars.count && scalars[index + 1] == "\n" ? 2 : 1
    case "\n", "\u{85}", "\u{2028}", "\u{2029}": return 1
    default: return 0
    }
  }

  /// The index of a mark, brought inside the text.
  func index(of position: Position) -> Int {
    let line = min(max(position.line, 1), lineStarts.count)
    return min(lineStarts[line - 1] + max(position.column - 1, 0), scalars.count)
  }

  /// Line and column of an index.
  func position(of index: Int) -> Position {
    var low = 0
    var high = lineStarts.count
    while high - low > 1 {
      let middle = (low + high) / 2
      if lineStarts[middle] <= index { low = middle } else { high = middle }
    }
    return Position(line: low + 1, column: index - lineStarts[low] + 1)
  }

  /// A line without its break; empty behind the end.
  func line(_ number: Int) -> String {
    guard number >= 1, number <= lineStarts.count else { return "" }
    var end = lineStarts[number - 1]
    while end < scalars.count, breakLength(at: end) == 0 { end += 1 }
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars[lineStarts[number - 1]..<end])
    return String(view)
  }

  /// What surrounds a place in its line, which may be as long as the file, and how much of the line stands before it.
  func excerpt(of position: Position, columnsMax: Int) -> (text: String, skipped: Int) {
    guard position.line >= 1, position.line <= lineStarts.count else { return ("", 0) }
    let start = lineStarts[position.line - 1]
    func end(from index: Int) -> Int {
      var end = index
      while end < scalars.count, end - index < columnsMax, breakLength(at: end) == 0 { end += 1 }
      return end
    }
    let isLong = end(from: start) - start == columnsMax
    let skipped = isLong ? max(0, position.column - 1 - columnsMax / 2) : 0
    let from = min(start + skipped, scalars.count)
    var view = String.UnicodeScalarView()
    view.append(contentsOf: scalars[from..<end(from: from)])
    return (String(view), skipped)
  }

  /// The same text with one scalar exchanged, which keeps every position.
  mutating func replace(at index: Int, with scalar: Unicode.Scalar) { scalars[index] = scalar }

  /// The characters that YAML forbids, such as NUL or an escape.
  var forbidden: [Int] { scalars.indices.filter { !Self.isPrintable(scalars[$0]) } }

  private static func isPrintable(_ scalar: Unicode.Scalar) -> Bool {
    switch scalar.value {
    case 0x09, 0x0A, 0x0D, 0x20...0x7E, 0x85, 0xA0...0xD7FF, 0xE000...0xFFFD, 0x10000...0x10FFFF: true
    default: false
    }
  }
}
