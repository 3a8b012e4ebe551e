import Foundation

/// A Swift file of this package.
struct SourceFile {
  /// From the package's root.
  var path: String
  var text: String

  /// The folder below `Sources` or `Tests`: the target.
  var target: String {
    let parts = path.split(separator: "/")
    return parts.count > 2 ? String(parts[1]) : ""
  }

  var lines: [Substring] { text.split(separator: "\n", omittingEmptySubsequences: false) }

  /// The lines without comments and without what stands in string literals, so that a rule about code does not
  /// hear what a comment says.
  var codeLines: [String] { CodeScanner.code(of: text).components(separatedBy: "\n") }

  static let root = URL(fileURLWithPath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// All Swift files below a folder of the package, in order of their paths.
  static func all(in folder: String) throws -> [SourceFile] {
    let base = root.appendingPathComponent(folder)
    let names = try FileManager.default.subpathsOfDirectory(atPath: base.path).sorted()
    return try names.filter { $0.hasSuffix(".swift") }.map { name in
      SourceFile(
        path: "\(folder)/\(name)",
        text: try String(contentsOf: base.appendingPathComponent(name), encoding: .utf8))
    }
  }
}

/// Tells code from comments and string literals.
private struct CodeScanner {
  private let scalars: [Unicode.Scalar]
  private var position = 0
  private var code = String.UnicodeScalarView()

  /// The code alone, with its newlines, so that lines keep their numbers; strings become `""`.
  static func code(of text: String) -> String {
    var scanner = CodeScanner(scalars: Array(text.unicodeScalars))
    while scanner.position < scanner.scalars.count { scanner.step() }
    return String(scanner.code)
  }

  private init(scalars: [Unicode.Scalar]) { self.scalars = scalars }

  private mutating func step() {
    let pounds = scalars[position...].prefix { $0 == "#" }.count
    if stands("//") {
      while position < scalars.count && scalars[position] != "\n" { position += 1 }
    } else if stands("/*") {
      skipBlockComment()
    } else if stands("\"", after: pounds) {
      code.append("\"")
      skipString(String(repeating: "#", count: pounds))
      code.append("\"")
    } else {
      code.append(scalars[position])
      position += 1
    }
  }

  private func stands(_ text: String, after count: Int = 0) -> Bool {
    scalars[min(position + count, scalars.count)...].starts(with: text.unicodeScalars)
  }

  /// Skips text and keeps its newlines.
  private mutating func skip(_ count: Int) {
    let end = min(position + count, scalars.count)
    code.append(contentsOf: scalars[position..<end].filter { $0 == "\n" })
    position = end
  }

  private mutating func skipBlockComment() {
    var depth = 0
    repeat {
      if stands("/*") {
        depth += 1
        skip(2)
      } else if stands("*/") {
        depth -= 1
        skip(2)
      } else {
        skip(1)
      }
    } while depth > 0 && position < scalars.count
  }

  /// Any of `"x"`, `"""x"""`, `#"x"#`: the end is the beginning's quotes and as many `#`, and an escaped quote
  /// does not count.
  private mutating func skipString(_ pounds: String) {
    let quotes = stands("\"\"\"", after: pounds.count) ? "\"\"\"" : "\""
    skip(pounds.count + quotes.count)
    while position < scalars.count && !stands(quotes + pounds) {
      skip(stands("\\" + pounds) ? pounds.count + 2 : 1)
    }
    skip(quotes.count + pounds.count)
  }
}
