import DefinitionFiles
import Foundation
import Testing

/// docs/definitions.md is a reference of every key that a definitions file may have.
@Suite struct DocumentedKeyTests {
  /// A number stands where each kind of mapping should: the error lists its keys.
  private static let files = [
    "5", "{ name: a, sources: { c: 5 }, views: {} }",
    "{ name: a, sources: { c: { timestamp: [5], fields: { a: [5] } } }, views: {} }",
    "{ name: a, sources: {}, joins: { j: 5 }, views: {} }",
    "{ name: a, sources: {}, joins: { j: { left: {}, right: {}, on: a } }, views: {} }",
    "{ name: a, sources: {}, views: { v: 5 } }",
    "{ name: a, sources: {}, views: { v: { source: c, entity: [a], features: { f: 5 } } } }",
    "{ name: a, sources: {}, views: { v: { source: c, entity: [a], features: {}, triggers: { t: 5 } } } }",
    "{ name: a, sources: {}, views: { v: { source: c, entity: [a], features: { f: { aggregate: count, windows: [[5]] } } } } }",
    "{ name: a, sources: {}, views: {}, services: { s: 5 } }", "{ name: a, sources: {}, models: { m: 5 } }",
    "{ name: a, sources: {}, views: {}, services: { s: { features: [v.*], served: 5 } } }",
  ]

  private static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Those that the reader's lists name: no error shows them all.
  private static func listed() throws -> Set<String> {
    let folder = root.appendingPathComponent("Sources/DefinitionFiles")
    var keys: Set<String> = []
    for file in try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil) {
      let text = try String(contentsOf: file, encoding: .utf8)
      for list in text.matches(of: /[kK]eys(: \[String\])? = \[([^\]]*)\]/) {
        keys.formUnion(list.2.matches(of: /"([a-z_]+)"/).map { String($0.1) })
      }
    }
    return keys
  }

  @Test func everyKeyIsDocumented() throws {
    let text = try String(
      contentsOf: Self.root.appendingPathComponent("docs/definitions.md"), encoding: .utf8)
    var keys = try Self.listed()
    #expect(keys.count > 50, "\(keys)")
    for file in Self.files {
      let error = #expect(throws: DefinitionFileError.self) {
        try DefinitionFile.parse(file, file: "f.yaml") { _, _ in [] }
      }
      for match in "\(error!)".matches(of: /with the keys ([a-z_, ]+), found/) {
        keys.formUnion(match.1.split(separator: ", ").map(String.init))
      }
    }
    for key in keys.sorted() {
      let isDocumented = ["`\(key)`", "{ \(key): ", ", \(key): "].contains { text.contains($0) }
      #expect(isDocumented, "\(key)")
    }
  }
}
