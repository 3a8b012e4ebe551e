/// A source that is made of two: an event and what followed it, or an event and the row of a table.
public struct Join: Sendable, Hashable {
  /// One of the two sources, and which of its events take part.
  public struct Side: Sendable, Hashable {
    /// The source's name; another join's for what that makes.
    public var source: String
    /// Which events take part; all when nil.
    public var filter: String?

    /// A side from its parts.
    public init(_ source: String, where filter: String? = nil) {
      self.source = source
      self.filter = filter
    }
  }

  /// What of the right source a left event gets.
  public enum Kind: Sendable, Hashable {
    /// Whether an event of the right source followed it. Microseconds: how long after it that counts, how long what comes
    /// late is waited for, and how long after that it still corrects the record.
    case outcome(within: Int64, wait: Int64, lateness: Int64)
    /// The row that the right source, a table, has at its turn.
    case table
  }

  /// The name of the source that it makes.
  public var name: String
  /// The events that get something.
  public var left: Side
  /// What they get it from.
  public var right: Side
  /// Columns that both have, which are equal.
  public var on: [String]
  /// What is got.
  public var kind: Kind
  /// Columns of the right source that the record carries.
  public var fields: [String]
  /// What people are told of it.
  public var annotations = Annotations()

  /// A join from its parts.
  public init(_ name: String, left: Side, right: Side, on: [String], kind: Kind, fields: [String] = []) {
    self.name = name
    self.left = left
    self.right = right
    self.on = on
    self.kind = kind
    self.fields = fields
  }
}
