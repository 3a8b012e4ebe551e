/// What people are told of a source, a view, a feature or a service. It changes no fingerprint.
public struct Annotations: Sendable, Hashable {
  /// Who answers for it: a team or an address.
  public var owner: String?
  /// What it is, in words.
  public var description: String?
  /// Anything else, by name.
  public var tags: [String: String]

  /// Annotations from their parts.
  public init(owner: String? = nil, description: String? = nil, tags: [String: String] = [:]) {
    self.owner = owner
    self.description = description
    self.tags = tags
  }

  /// Whether nothing is told.
  public var isEmpty: Bool { owner == nil && description == nil && tags.isEmpty }
}

/// Features of several views that are asked for together, with what is computed of them at the time of a request.
public struct Service: Sendable, Hashable {
  /// What a request brings along.
  public struct Input: Sendable, Hashable {
    /// Its name.
    public var name: String
    /// Its type.
    public var type: ValueType

    /// An input from its parts.
    public init(_ name: String, _ type: ValueType) {
      self.name = name
      self.type = type
    }
  }

  /// A column that is computed of features, named `<view>__<feature>`, inputs and other derived columns.
  public struct Derived: Sendable, Hashable {
    /// The column's name.
    public var name: String
    /// A SQL expression.
    public var expression: String

    /// A derived column from its parts.
    public init(_ name: String, _ expression: String) {
      self.name = name
      self.expression = expression
    }
  }

  /// How long an entity may have been silent.
  public struct MaxAge: Sendable, Hashable {
    /// The view.
    public var view: String
    /// Microseconds since its latest event.
    public var microseconds: Int64

    /// A bound from its parts.
    public init(_ view: String, _ microseconds: Int64) {
      self.view = view
      self.microseconds = microseconds
    }
  }

  /// What a request gets whose features lag behind the log by more than `maxLag`.
  public enum WhenStale: String, Sendable, Hashable, CaseIterable {
    /// The values, with a status that says so.
    case flag
    /// An error: what uses the service has a better fallback than old features.
    case fail
  }

  /// The service's name.
  public var name: String
  /// `<view>.<feature>`, or `<view>.*` for all of a view, in the order of the answer.
  public var features: [String]
  /// What requests bring along.
  public var inputs: [Input]
  /// What is computed at the time of a request.
  public var derived: [Derived]
  /// Bounds of the silence of entities, by view: a value beyond is null.
  public var maxAge: [MaxAge]
  /// Microseconds by which the features may lag behind the log; nil: any.
  public var maxLag: Int64?
  /// What happens beyond.
  public var whenStale: WhenStale
  /// The share of the answers that are logged, 0 to 1; nil: none.
  public var servedShare: Double?
  /// What people are told of it.
  public var annotations = Annotations()

  /// A service from its parts.
  public init(
    _ name: String, features: [String], inputs: [Input] = [], derived: [Derived] = [], maxAge: [MaxAge] = [],
    maxLag: Int64? = nil, whenStale: WhenStale = .flag, servedShare: Double? = nil
  ) {
    self.name = name
    self.features = features
    self.inputs = inputs
    self.derived = derived
    self.maxAge = maxAge
    self.maxLag = maxLag
    self.whenStale = whenStale
    self.servedShare = servedShare
  }
}
