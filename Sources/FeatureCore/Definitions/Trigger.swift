/// A condition over a view's features that is watched for in every entity.
public struct Trigger: Sendable, Hashable {
  /// Its name.
  public var name: String
  /// A SQL expression over the view's features.
  public var condition: String
  /// At how many closed hops in a row the condition has to hold.
  public var hops: Int
  /// Microseconds between two evaluations; the finest hop of the windows that the condition needs when nil.
  public var every: Int64?
  /// Microseconds after which it may fire for the same entity again; never when nil.
  public var againAfter: Int64?

  /// A trigger from its parts.
  public init(
    _ name: String, when condition: String, for hops: Int = 1, every: Int64? = nil, againAfter: Int64? = nil
  ) {
    self.name = name
    self.condition = condition
    self.hops = hops
    self.every = every
    self.againAfter = againAfter
  }
}
