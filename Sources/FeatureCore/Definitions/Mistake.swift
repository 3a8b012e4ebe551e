/// Where in the definitions something stands: names from the root, such as
/// `views`, `user_activity`, `features`, `ctr`, `derive`. List elements are their index as text.
public struct DefinitionPath: Hashable, Sendable, CustomStringConvertible {
  /// The names from the root.
  public var names: [String]

  /// A path from its names.
  public init(_ names: [String] = []) { self.names = names }

  /// The path of a child.
  public func child(_ name: String) -> DefinitionPath { DefinitionPath(names + [name]) }

  /// Dotted, for people.
  public var description: String { names.isEmpty ? "the definitions" : names.joined(separator: ".") }
}

/// One thing that is wrong with definitions.
public struct Mistake: Hashable, Sendable {
  /// Where it stands.
  public var path: DefinitionPath
  /// Inside an expression, the offset in its UTF-8 bytes.
  public var offset: Int?
  /// What is wrong.
  public var message: String
  /// What was probably meant, or what to do.
  public var suggestion: String?

  /// A mistake from its parts.
  public init(_ path: DefinitionPath, offset: Int? = nil, _ message: String, suggestion: String? = nil) {
    self.path = path
    self.offset = offset
    self.message = message
    self.suggestion = suggestion
  }
}

/// Every mistake of a set of definitions, in the order of the file.
public struct DefinitionMistakes: Error, Sendable, CustomStringConvertible {
  /// The mistakes, at least one.
  public var mistakes: [Mistake]

  /// From mistakes.
  public init(_ mistakes: [Mistake]) { self.mistakes = mistakes }

  /// A line a mistake.
  public var description: String {
    mistakes.map { mistake in
      "\(mistake.path): \(mistake.message)" + (mistake.suggestion.map { " (\($0))" } ?? "")
    }.joined(separator: "\n")
  }
}
