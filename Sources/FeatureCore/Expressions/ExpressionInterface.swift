/// A column that an expression may name.
public struct ExpressionColumn: Hashable, Sendable {
  /// The name.
  public var name: String
  /// Its type.
  public var type: ValueType

  /// A column from its parts.
  public init(_ name: String, _ type: ValueType) {
    self.name = name
    self.type = type
  }
}

/// What is wrong with an expression.
public struct ExpressionError: Error, Hashable, Sendable {
  /// The offset in the UTF-8 bytes of the text.
  public var offset: Int
  /// What is wrong.
  public var message: String
  /// What was probably meant.
  public var suggestion: String?

  /// An error from its parts.
  public init(offset: Int, _ message: String, suggestion: String? = nil) {
    self.offset = offset
    self.message = message
    self.suggestion = suggestion
  }
}
