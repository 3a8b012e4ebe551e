import FeatureCore
import Yams

/// A definitions file to which what its models stand for is added.
struct FileSections {
  private static let kinds = [("sources", "source"), ("joins", "join"), ("views", "view")]

  private let document: YAMLDocument
  private let mapping: Node.Mapping
  private var added: [String: [(Node, Node)]] = [:]
  /// Where each name of a source, a join or a view stands, and what it is.
  private var taken: [String: (what: String, line: Int)] = [:]

  init(_ document: YAMLDocument, _ mapping: Node.Mapping) {
    self.document = document
    self.mapping = mapping
    for (section, kind) in Self.kinds {
      for entry in entries(of: section) where taken[entry.key] == nil {
        taken[entry.key] = (kind, entry.position.line)
      }
    }
  }

  /// The names that the file has in a section.
  func names(_ section: String) -> [String] { entries(of: section).map(\.key) }

  private func entries(of section: String) -> [Entry] {
    guard let entry = document.entries(of: mapping).first(where: { $0.key == section }),
      case .mapping(let inner) = entry.value
    else { return [] }
    return document.entries(of: inner)
  }

  /// Adds what a model stands for, unless its names are taken.
  mutating func add(_ expansion: ModelExpansion, _ reader: ShapeReader) {
    let place = expansion.block.place
    for (section, kind) in Self.kinds {
      for (name, node) in expansion.nodes(of: section) {
        guard let text = name.scalar?.string else { continue }
        if let other = taken[text] {
          reader.report(
            keyOf: place,
            "the model '\(expansion.model.name)' makes a \(kind) '\(text)', and line \(other.line) has "
              + "\(other.what.first == "a" ? "an" : "a") \(other.what) of that name",
            suggestion: "rename one")
          continue
        }
        taken[text] = ("\(kind) of the model '\(expansion.model.name)'", place.keyPosition.line)
        added[section, default: []].append((name, node))
      }
    }
  }

  /// The file without `models`, and with what they stand for.
  var root: Node {
    var pairs: [(Node, Node)] = []
    var rest = added
    for (key, value) in mapping {
      let name = key.scalar.map { document.original($0.string) }
      if name == "models" { continue }
      if let name, let more = rest[name], case .mapping(let inner) = value {
        rest[name] = nil
        pairs.append((key, Self.mapping(inner, more)))
      } else {
        pairs.append((key, value))
      }
    }
    for (section, _) in Self.kinds {
      guard let more = rest[section], let first = more.first else { continue }
      let name = Node.scalar(.init(section, .implicit, .plain, first.0.mark))
      // Merged into the file by '<<', which a key of its own hides.
      if case .mapping(let inner)? = document.entries(of: mapping).first(where: { $0.key == section })?.value
      {
        pairs.append((name, Self.mapping(inner, more)))
      } else {
        pairs.append((name, Self.block(more)))
      }
    }
    return .mapping(.init(pairs, mapping.tag, mapping.style, mapping.mark))
  }

  private static func mapping(_ inner: Node.Mapping, _ more: [(Node, Node)]) -> Node {
    .mapping(.init(inner.map { ($0.key, $0.value) } + more, inner.tag, inner.style, inner.mark))
  }

  private static func block(_ pairs: [(Node, Node)]) -> Node {
    .mapping(.init(pairs, .implicit, .block, pairs.first?.0.mark))
  }

  /// What the models stand for as text that a file could have had; nil if nothing could be expanded. To be asked for last:
  /// Yams resolves the tags of what it writes, and a number that had none is a text from then on.
  var text: String? {
    let pairs = Self.kinds.compactMap { section, _ in
      added[section].map { (Node.scalar(.init(section, .implicit, .plain)), Self.block($0)) }
    }
    return pairs.isEmpty
      ? nil : try? serialize(node: Self.block(pairs), indent: 2, width: -1, allowUnicode: true)
  }
}
