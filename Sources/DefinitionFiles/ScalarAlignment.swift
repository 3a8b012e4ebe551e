import Yams

/// Follows the value of a YAML scalar through the file, so that an offset in an expression becomes a line and
/// a column: over quotes, escapes, folded lines and the indentation of blocks.
struct ScalarAlignment {
  private let source: SourceText
  private let style: Node.Scalar.Style
  private var at: Int
  private var indentation = 0

  /// The index in the file of a byte of a scalar's value.
  static func index(ofByte offset: Int, of scalar: Node.Scalar, in source: SourceText) -> Int {
    var alignment = ScalarAlignment(scalar, in: source)
    var bytes = 0
    for valueScalar in scalar.string.unicodeScalars {
      alignment.skipContinuations()
      bytes += UTF8.width(valueScalar)
      guard bytes <= offset else { break }
      alignment.advance(over: valueScalar)
    }
    return min(alignment.at, source.scalars.count)
  }

  /// Where a scalar begins, behind its anchor and its tag.
  static func contentStart(at position: Position, in source: SourceText) -> Int {
    var at = source.index(of: position)
    while let property = source.scalar(at: at), property == "&" || property == "!" {
      while let next = source.scalar(at: at), !isBlank(next), source.breakLength(at: at) == 0 { at += 1 }
      while let next = source.scalar(at: at), isBlank(next) || source.breakLength(at: at) > 0 { at += 1 }
    }
    return at
  }

  private init(_ scalar: Node.Scalar, in source: SourceText) {
    self.source = source
    style = scalar.style
    at = Self.contentStart(at: scalar.position, in: source)
    switch scalar.style {
    case .singleQuoted, .doubleQuoted: at += 1
    case .literal, .folded: enterBlock()
    case .plain, .any: break
    }
  }

  private static func isBlank(_ scalar: Unicode.Scalar) -> Bool { scalar == " " || scalar == "\t" }

  /// From the header of a block to its first line.
  private mutating func enterBlock() {
    while at < source.scalars.count, source.breakLength(at: at) == 0 { at += 1 }
    at += source.breakLength(at: at)
    indentation = blockIndentation()
    skipIndentation()
  }

  /// The indentation of the first line that is not blank. (An explicit indicator is relative to a parent that
  /// the node tree does not name; it only matters for blocks that begin with spaces.)
  private func blockIndentation() -> Int {
    var index = at
    var spaces = 0
    while let next = source.scalar(at: index) {
      let length = source.breakLength(at: index)
      if length > 0 {
        spaces = 0
      } else if next == " " {
        spaces += 1
      } else {
        break
      }
      index += max(length, 1)
    }
    return spaces
  }

  private mutating func skipIndentation() {
    var skipped = 0
    while skipped < indentation, source.scalar(at: at) == " " {
      at += 1
      skipped += 1
    }
  }

  /// A backslash at the end of a line joins it with the next and stands for nothing.
  private mutating func skipContinuations() {
    while style == .doubleQuoted, source.scalar(at: at) == "\\", source.breakLength(at: at + 1) > 0 {
      at += 1
      skipFold()
    }
  }

  private mutating func advance(over value: Unicode.Scalar) {
    switch style {
    case .literal where value == "\n":
      at += source.breakLength(at: at)
      skipIndentation()
    case .folded where value == "\n" || value == " ":
      advanceOverFoldedBreak(value)
    case .doubleQuoted where source.scalar(at: at) == "\\":
      at += escapeLength
    case .singleQuoted where source.scalar(at: at) == "'":
      at += 2
    case .plain, .any, .singleQuoted, .doubleQuoted:
      if isFold && (value == " " || value == "\n") {
        skipFold()
      } else if value != "\n" {
        // A newline without a break here: the fold before has consumed all the breaks.
        at += 1
      }
    case .literal, .folded: at += 1
    }
  }

  private mutating func advanceOverFoldedBreak(_ value: Unicode.Scalar) {
    guard source.breakLength(at: at) > 0 else {
      if value == " " { at += 1 }
      return
    }
    while source.breakLength(at: at) > 0 {
      at += source.breakLength(at: at)
      skipIndentation()
    }
  }

  private var escapeLength: Int {
    switch source.scalar(at: at + 1) {
    case "x": 4
    case "u": 6
    case "U": 10
    default: 2
    }
  }

  /// Whether only blanks stand between here and a line break.
  private var isFold: Bool {
    var index = at
    while let next = source.scalar(at: index), Self.isBlank(next) { index += 1 }
    return source.breakLength(at: index) > 0
  }

  private mutating func skipFold() {
    while let next = source.scalar(at: at), Self.isBlank(next) || source.breakLength(at: at) > 0 { at += 1 }
  }
}

extension Node.Scalar {
  /// Where the scalar begins, its anchor and tag included.
  var position: Position { mark.map { Position(line: $0.line, column: $0.column) } ?? .start }
}

extension Node {
  /// Where the node begins.
  var position: Position { mark.map { Position(line: $0.line, column: $0.column) } ?? .start }
}
