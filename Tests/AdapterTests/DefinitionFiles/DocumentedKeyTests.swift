import DefinitionFiles
import Foundation
import Testing

/// docs/definitions.md is a reference of every key that a definitions file may have.
@Suite struct DocumentedKeyTests {
  /// A number stands where each kind of mapping should: the error lists its keys.
  private static let files = [
    "5", "{ name: a, sources: { c: 5 }, views: {} }",
    "{ name: a, sources: { c: { timestamp: [5], fields: { a: [5] } } }, views: {} }",
    "{ name: a, sources: {}, views: { v: 5 } }",
    "{ name: a, sources: {}, views: { v: { source: c, entity: [a], features: { f: 5 } } } }",
    "{ name: a, sources: {}, views: { v: { source: c, entity: [a], features: {}, triggers: { t: 5 } } } }",
    "{ name: a, sources: {}, views: { v: { source: c, entity: [a], features: { f: { aggregate: count, windows: [[5]] } } } } }",
    "{ name: a, sources: {}, views: {}, services: { s: 5 } }",
    "{ name: a, sources: {}, views: {}, services: { s: { features: [v.*], served: 5 } } }",
  ]

  @Test func everyKeyIsDocumented() throws {
    let page = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().deletingLastPathComponent().appendingPathComponent("docs/definitions.md")
    let text = try String(contentsOf: page, encoding: .utf8)
    var keys: Set<Substring> = []
    for file in Self.files {
      let error = #expect(throws: DefinitionFileError.self) {
        try DefinitionFile.parse(file, file: "f.yaml") { _, _ in [] }
      }
      for match in "\(error!)".matches(of: /with the keys ([a-z_, ]+), found/) {
        keys.formUnion(match.1.split(separator: ", "))
      }
    }
    #expect(keys.count > 35, "\(keys)")
    for key in keys.sorted() {
      let isDocumented = ["`\(key)`", "{ \(key): ", ", \(key): "].contains { text.contains($0) }
      #expect(isDocumented, "\(key)")
    }
  }
}
