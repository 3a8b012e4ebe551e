import FeatureCore
import Yams

/// Finds in the file what the compiler names by its path.
struct Locator {
  private let document: YAMLDocument
  private let root: Node

  init(_ document: YAMLDocument, _ root: Node) {
    self.document = document
    self.root = root
  }

  /// The position of a mistake: inside an expression, of a value, or of the key of what is larger.
  func position(of mistake: Mistake) -> Position {
    let place = place(at: mistake.path)
    guard case .scalar(let scalar) = place.node else { return place.keyPosition }
    guard let offset = mistake.offset else { return place.position }
    let index = ScalarAlignment.index(ofByte: offset, of: scalar, in: document.source)
    return document.source.position(of: index)
  }

  /// The text that a mistake is about: the name at its offset in an expression, or the whole value.
  func subject(of mistake: Mistake) -> String? {
    guard case .scalar(let scalar) = place(at: mistake.path).node else { return nil }
    guard let offset = mistake.offset else { return scalar.string }
    let bytes = scalar.string.utf8.dropFirst(offset).drop { $0 == UInt8(ascii: "\"") }
    let name = bytes.prefix { byte in
      byte >= 0x80 || byte == UInt8(ascii: "_") || (0x30...0x39).contains(byte)
        || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte)
    }
    return String(decoding: name, as: UTF8.self)
  }

  /// The value at a path, or the deepest one on the way to it. An index leads through a single value that
  /// stands where a list may stand.
  private func place(at path: DefinitionPath) -> Place {
    var place = Place(node: root, path: DefinitionPath(), keyPosition: root.position)
    for name in path.names {
      switch place.node {
      case .mapping(let mapping):
        let entries = document.entries(of: mapping)
        // A feature of several windows or quantiles is named like its entry, and goes on.
        guard
          let entry = entries.first(where: { $0.key == name })
            ?? (place.path.names.last == "features"
              ? entries.filter { name.hasPrefix("\($0.key)_") }.max { $0.key.count < $1.key.count } : nil)
        else {
          if Int(name) != nil { continue }
          return place
        }
        place = Place(node: entry.value, path: place.path.child(name), keyPosition: entry.position)
      case .sequence(let sequence):
        guard let index = Int(name), sequence.indices.contains(index) else { return place }
        let node = sequence[index]
        place = Place(node: node, path: place.path.child(name), keyPosition: node.position)
      case .scalar, .alias: return place
      }
    }
    return place
  }
}
