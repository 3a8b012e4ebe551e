/// One breach of a rule.
struct Finding: Equatable, CustomStringConvertible {
  var path: String
  var line: Int
  var message: String

  var description: String { "\(path):\(line): \(message)" }
}

/// The rules, as functions from a file to what breaks them.
enum Rules {
  /// The target imports what its row of the layering allows.
  static func imports(_ file: SourceFile, _ allowed: AllowedImports, cModules: Set<String>) -> [Finding] {
    findings(file) { line in
      guard let module = importedModule(line) else { return nil }
      switch allowed {
      case .only(let modules) where modules.contains(module): return nil
      case .everythingButC where !cModules.contains(module): return nil
      default: return "\(file.target) must not import \(module) (see Tests/TidyTests/Layering.swift)"
      }
    }
  }

  /// The code is a function of its arguments.
  static func purity(_ file: SourceFile) -> [Finding] {
    findings(file) { line in
      impurities.first { contains(line, word: $0.code) }
        .map { "\(file.target) is pure and must not use \($0.code): \($0.reason)" }
    }
  }

  /// The file is short.
  static func length(_ file: SourceFile) -> [Finding] {
    let count = file.lines.count
    guard count >= fileLinesMax else { return [] }
    return [Finding(path: file.path, line: fileLinesMax, message: "\(count) lines: split the file by idea")]
  }

  /// Nothing is left for later, comments included.
  static func unfinished(_ file: SourceFile) -> [Finding] {
    // Put together, so that this file keeps its own rule.
    let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
    return file.lines.enumerated().compactMap { index, line in
      marks.first { contains(String(line), word: $0) }
        .map { Finding(path: file.path, line: index + 1, message: "\($0): do it, or leave it out") }
    }
  }

  /// `Foundation` of `@testable public import struct Foundation.Date`; nil for other lines.
  static func importedModule(_ line: String) -> String? {
    var words = line.split { $0 == " " || $0 == "\t" }.map(String.init)[...]
    let modifiers: Set<String> = ["public", "package", "internal", "fileprivate", "private"]
    while let word = words.first, word.hasPrefix("@") || modifiers.contains(word) { words.removeFirst() }
    guard words.popFirst() == "import" else { return nil }
    let kinds: Set<String> = ["struct", "class", "enum", "protocol", "typealias", "func", "let", "var"]
    if let kind = words.first, kinds.contains(kind) { words.removeFirst() }
    return words.first.flatMap { $0.split { $0 == "." || $0 == ";" }.first }.map(String.init)
  }

  /// Whether a word stands in a line, not as a part of a longer name.
  static func contains(_ line: String, word: String) -> Bool {
    let isName = { (character: Character) in character.isLetter || character.isNumber || character == "_" }
    var start = line.startIndex
    while let found = line[start...].firstRange(of: word) {
      let before = found.lowerBound > line.startIndex ? line[line.index(before: found.lowerBound)] : " "
      let after = found.upperBound < line.endIndex ? line[found.upperBound] : " "
      let beginsApart = !(word.first.map(isName) ?? false) || !isName(before)
      let endsApart = !(word.last.map(isName) ?? false) || !isName(after)
      if beginsApart && endsApart { return true }
      start = line.index(after: found.lowerBound)
    }
    return false
  }

  private static func findings(_ file: SourceFile, _ check: (String) -> String?) -> [Finding] {
    file.codeLines.enumerated().compactMap { index, line in
      check(line).map { Finding(path: file.path, line: index + 1, message: $0) }
    }
  }
}
