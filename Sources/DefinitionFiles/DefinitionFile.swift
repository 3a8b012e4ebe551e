public import FeatureCore
import Foundation
import Yams

/// A definitions file that has been read: what it says, and the time zones that it names.
public struct DefinitionFile: Sendable {
  /// What the file says.
  public let definitions: Definitions
  /// The time zones of its calendar windows, by name.
  public let zones: [String: TimeZoneRules]
  /// What its models stand for, as YAML that could stand in the file instead; nil without models.
  public let expansion: String?

  /// Checks definitions that could be read: `FeatureCore`'s compiler.
  public typealias Check = (_ definitions: Definitions, _ zones: [String: TimeZoneRules]) -> [Mistake]

  /// Bytes of a file: a definition of every feature that one person could write takes less.
  public static let bytesMax = 1 << 20

  /// Reads text. All mistakes are reported together, in the order of the file: those of shape, and what
  /// `check` finds in what could be read, unless it only follows from a mistake of shape.
  public static func parse(
    _ text: String, file: String, database: ZoneDatabase = .system, check: Check
  ) throws(DefinitionFileError) -> DefinitionFile {
    let document = YAMLDocument(text)
    func fail(_ findings: [Finding]) -> DefinitionFileError {
      DefinitionFileError(file: file, findings: findings, source: document.source)
    }
    guard let written = document.root else {
      throw fail(document.findings.isEmpty ? [emptyFile] : document.findings)
    }
    if case .scalar(let scalar) = written, scalar.string.isEmpty, document.findings.isEmpty {
      throw fail([emptyFile])
    }
    let shape = ShapeReader(document)
    var reader = DefinitionsReader(shape, file: file, database: database)
    let root = reader.expanded(written)
    let definitions = reader.read(root)
    var findings = document.findings + shape.findings
    guard let definitions else { throw fail(findings) }
    let zones = reader.zones.filter { reader.usedZones.contains($0.key) }
    let locator = Locator(document, root)
    var knockOns = KnockOns(shape, definitions, locator)
    let mistakes = check(definitions, zones).prefix(ShapeReader.findingsMax)
    for mistake in knockOns.removed(from: Array(mistakes)) {
      findings.append(
        Finding(
          mistake.path, locator.position(of: mistake), mistake.message, suggestion: mistake.suggestion))
    }
    guard findings.isEmpty else { throw fail(findings) }
    return DefinitionFile(definitions: definitions, zones: zones, expansion: reader.sections?.text)
  }

  /// Reads a file; `-` is the standard input.
  public static func load(
    path: String, database: ZoneDatabase = .system, check: Check
  ) throws(DefinitionFileError) -> DefinitionFile {
    let bytes = try read(path)
    guard let text = String(validating: bytes, as: UTF8.self) else {
      throw DefinitionFileError(
        file: path, line: firstInvalidLine(bytes), "the text is not valid UTF-8",
        suggestion: "save the file as UTF-8")
    }
    return try parse(text, file: path, database: database, check: check)
  }

  private static let emptyFile = Finding(
    DefinitionPath(), .start, "the file is empty",
    suggestion: "a definitions file has a name, sources and views")

  private static func read(_ path: String) throws(DefinitionFileError) -> [UInt8] {
    if path == "-" { return try bytes(of: .standardInput, path) }
    var isDirectory: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isDirectory) else {
      throw DefinitionFileError(file: path, line: 0, "there is no such file")
    }
    guard !isDirectory.boolValue else {
      throw DefinitionFileError(file: path, line: 0, "this is a directory, not a file")
    }
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw DefinitionFileError(
        file: path, line: 0, "the file cannot be read", suggestion: "check its permissions")
    }
    return try bytes(of: handle, path)
  }

  private static func bytes(of handle: FileHandle, _ path: String) throws(DefinitionFileError) -> [UInt8] {
    guard let data = try? handle.read(upToCount: bytesMax + 1) ?? Data() else {
      throw DefinitionFileError(
        file: path, line: 0, "the file cannot be read", suggestion: "check its permissions")
    }
    guard data.count <= bytesMax else {
      throw DefinitionFileError(file: path, line: 0, "the file has more than \(bytesMax) bytes")
    }
    return [UInt8](data)
  }

  /// The line of the first bytes that are not UTF-8.
  private static func firstInvalidLine(_ bytes: [UInt8]) -> Int {
    var line = 1
    for part in bytes.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      if String(validating: part, as: UTF8.self) == nil { return line }
      line += 1
    }
    return line
  }
}

/// Everything that is wrong with a definitions file.
public struct DefinitionFileError: Error, Sendable, CustomStringConvertible {
  /// One mistake.
  public struct Problem: Hashable, Sendable {
    /// The line from 1; 0 if it is about the file as a whole.
    public let line: Int
    /// The column from 1, in Unicode scalars.
    public let column: Int
    /// What is wrong.
    public let message: String
    /// What was probably meant, or what to do.
    public let suggestion: String?
    /// The text of the line; of a long one what surrounds the column.
    public let sourceLine: String
    /// How many columns of the line are left out before `sourceLine`.
    let columnsSkipped: Int
  }

  /// More mistakes are only counted: whoever mends these looks again.
  public static let problemsMax = 100

  /// The file's name.
  public let file: String
  /// The mistakes, at least one, by line and column.
  public let problems: [Problem]
  /// How many more were found.
  public let omitted: Int

  init(file: String, line: Int, _ message: String, suggestion: String? = nil) {
    self.file = file
    problems = [
      Problem(
        line: line, column: 1, message: message, suggestion: suggestion, sourceLine: "", columnsSkipped: 0)
    ]
    omitted = 0
  }

  init(file: String, findings: [Finding], source: SourceText) {
    self.file = file
    struct Told: Hashable {
      var position: Position
      var message: String
    }
    var seen: Set<Told> = []
    // An alias shows the same mistake wherever it is used.
    let told = findings.filter { seen.insert(Told(position: $0.position, message: $0.message)).inserted }
      .sorted { ($0.position, $0.message) < ($1.position, $1.message) }
    problems = told.prefix(Self.problemsMax).map { finding in
      let position = finding.position
      let excerpt = source.excerpt(of: position, columnsMax: Self.excerptColumnsMax)
      return Problem(
        line: position.line, column: position.column, message: Self.clipped(finding.message),
        suggestion: finding.suggestion.map(Self.clipped), sourceLine: excerpt.text,
        columnsSkipped: excerpt.skipped)
    }
    omitted = told.count - problems.count
  }

  /// Names in messages may be as long as the file.
  private static func clipped(_ message: String) -> String {
    let limit = 1_000
    return message.utf8.count <= limit ? message : "\(String(message.unicodeScalars.prefix(limit)))…"
  }

  /// Like a compiler: file, line, column, what is wrong; the line, and a caret below the place.
  public var description: String {
    let lines = problems.map { problem in
      let place = problem.line == 0 ? file : "\(file):\(problem.line):\(problem.column)"
      let message = problem.message + (problem.suggestion.map { "; \($0)" } ?? "")
      return "\(place): error: \(message)" + Self.excerpt(problem)
    }
    let more = omitted > 0 ? ["\(file): \(omitted) more mistakes are not shown"] : []
    return (lines + more).joined(separator: "\n")
  }

  private static let excerptColumnsMax = 200

  private static func excerpt(_ problem: Problem) -> String {
    guard !problem.sourceLine.isEmpty else { return "" }
    let shown = problem.sourceLine.unicodeScalars
    var padding = String.UnicodeScalarView()
    for scalar in shown.prefix(max(0, problem.column - 1 - problem.columnsSkipped)) {
      padding.append(scalar == "\t" ? "\t" : " ")
    }
    return "\n  \(problem.sourceLine)\n  \(String(padding))^"
  }
}

extension DefinitionFile {
  /// Reads, checks and compiles a file. All mistakes are reported together.
  public static func compile(path: String) throws(DefinitionFileError) -> Plan {
    try compiled(path: path).plan
  }

  /// The same, with the file.
  public static func compiled(
    path: String
  ) throws(DefinitionFileError) -> (file: DefinitionFile, plan: Plan) {
    var compiled: Plan?
    let file = try load(path: path) { definitions, zones in
      do throws(DefinitionMistakes) {
        compiled = try Plan(definitions, zones: zones)
        return []
      } catch {
        return error.mistakes
      }
    }
    guard let compiled else { preconditionFailure("Cannot have neither a plan nor mistakes") }
    return (file, compiled)
  }
}
