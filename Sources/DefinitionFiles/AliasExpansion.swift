import FeatureCore
import Yams

/// How large a YAML file becomes once its aliases are expanded, found without expanding them: aliases inside aliases
/// make a small file endless, and as keys they are compared whole.
struct AliasExpansion {
  /// Values of an expanded file; no sensible file comes near.
  static let valuesMax = 100_000
  /// Levels of an expanded file: nodes are visited, and freed, by functions that call themselves.
  static let depthMax = 1_000

  private struct Extent {
    var size = 1
    var depth = 1

    mutating func add(_ inner: Extent) {
      size = min(size + inner.size, valuesMax + 1)
      depth = max(depth, inner.depth + 1)
    }
  }

  /// What stands for the star of an alias, so that the parser takes it for text.
  private static let marker = Unicode.Scalar(0xF1000)!

  private var extents: [String: Extent] = [:]
  private var wrongKey: Node?

  /// What is too large, or a key that is no text; nil if nothing is. Throws what is wrong with the YAML.
  static func problem(in source: SourceText) throws -> Finding? {
    var text = String.UnicodeScalarView()
    for scalar in source.scalars { text.append(scalar == "*" ? marker : scalar) }
    let parser = try Parser(yaml: String(text), resolver: .basic, encoding: .utf8)
    guard let root = try parser.nextRoot() else { return nil }
    // Nodes hold their anchors weakly: the parser owns them.
    defer { withExtendedLifetime(parser) {} }
    var expansion = AliasExpansion()
    let extent = expansion.extent(root)
    if let key = expansion.wrongKey {
      return Finding(
        DefinitionPath(), key.position, "a key must be text, found an alias of more",
        suggestion: "write the name itself")
    }
    guard extent.size > valuesMax || extent.depth > depthMax else { return nil }
    let many = extent.size > valuesMax ? "\(valuesMax) values" : "\(depthMax) levels"
    return Finding(
      DefinitionPath(), root.position, "the file has more than \(many) once its aliases are expanded",
      suggestion: "write fewer aliases inside what has an anchor")
  }

  /// In the order of the file, so an anchor is known before its aliases.
  private mutating func extent(_ node: Node) -> Extent {
    var extent = Extent()
    switch node {
    case .scalar(let scalar):
      if let name = Self.alias(scalar) { extent = extents[name] ?? extent }
    case .sequence(let sequence):
      for element in sequence { extent.add(self.extent(element)) }
    case .mapping(let mapping):
      for (key, value) in mapping {
        let inner = self.extent(key)
        // Lists and mappings as keys are told of later; with aliases in them they can't be compared.
        if inner.size > 1, wrongKey == nil, Self.hasAlias(key) { wrongKey = key }
        extent.add(inner)
        extent.add(self.extent(value))
      }
    case .alias: break
    }
    if let anchor = node.anchor { extents[anchor.rawValue] = extent }
    return extent
  }

  private static func hasAlias(_ node: Node) -> Bool {
    switch node {
    case .scalar(let scalar): alias(scalar) != nil
    case .sequence(let sequence): sequence.contains(where: hasAlias)
    case .mapping(let mapping): mapping.contains { hasAlias($0.key) || hasAlias($0.value) }
    case .alias: true
    }
  }

  private static func alias(_ scalar: Node.Scalar) -> String? {
    guard scalar.style == .plain, scalar.string.unicodeScalars.first == marker else { return nil }
    return String(scalar.string.unicodeScalars.dropFirst())
  }
}
