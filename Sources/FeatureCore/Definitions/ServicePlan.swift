/// A compiled service: which features of which views answer a request, and what is computed of them.
public final class ServicePlan: Sendable {
  /// A view that is read for a request.
  public struct Read: Sendable {
    /// Its index among the plan's views.
    public let view: Int
    /// Microseconds for which an entity may be silent; beyond, its values are null. nil: for ever.
    public let maxAge: Int64?
    /// Where the columns of the view's entity stand in `entity`.
    public let key: [Int]

    /// Whether an entity whose latest event was at `asOf` has been silent for too long at a time: then its values are null.
    /// One without events never is: its values are those of nothing.
    public func isSilent(since asOf: EventTime?, at time: EventTime) -> Bool {
      guard let maxAge, let asOf else { return false }
      return time.microseconds - asOf.microseconds > maxAge
    }
  }

  /// Where the value of a column comes from.
  public enum Origin: Sendable, Hashable {
    /// A feature of a view, by their indices in `reads` and among the view's features.
    case feature(read: Int, feature: Int)
    /// The derived column of an index.
    case derived(Int)
  }

  /// A column of the answer.
  public struct Column: Sendable, Hashable {
    /// `<view>__<feature>`, or the derived column's name.
    public let name: String
    /// The type of its values.
    public let type: FeatureType
    /// Where they come from.
    public let origin: Origin
  }

  /// What the definitions say.
  public let service: Service
  /// The views that are read: those of the columns, then those that only derived columns use.
  public let reads: [Read]
  /// What names a row: the entity columns of all views, each once.
  public let entity: [FeatureColumn]
  /// What a row is answered with, features before derived columns.
  public let columns: [Column]

  private let derived: [DerivedColumn]
  /// Indices of `derived`, each after those that it names.
  private let order: [Int]

  init(
    _ service: Service, reads: [Read], entity: [FeatureColumn], columns: [Column], derived: [DerivedColumn],
    order: [Int]
  ) {
    self.service = service
    self.reads = reads
    self.entity = entity
    self.columns = columns
    self.derived = derived
    self.order = order
  }

  /// The service's name.
  public var name: String { service.name }

  /// Whether a row has more than views say of it: inputs, or columns that are derived.
  public var computes: Bool { !derived.isEmpty || !service.inputs.isEmpty }

  /// The values of the columns. `features` are the values of each read's view, as `ViewPlan.evaluate` gives them; `inputs`
  /// one of each declared input, null if the request doesn't say; `time` is that of the request, which `now()` is. What can't be
  /// computed is null.
  public func values(
    features: [[FeatureValue]], inputs: [FeatureValue], at time: EventTime
  ) -> [FeatureValue] {
    let computed = derive(features, inputs, time)
    return columns.map { column in
      switch column.origin {
      case .feature(let read, let feature): features[read][feature]
      case .derived(let index): computed[index]
      }
    }
  }

  private func derive(
    _ features: [[FeatureValue]], _ inputs: [FeatureValue], _ time: EventTime
  ) -> [FeatureValue] {
    guard !derived.isEmpty else { return [] }
    var computed = [FeatureValue](repeating: .null, count: derived.count)
    let arena = TextArena()
    for index in order {
      let operands = derived[index].operands.map { operand in
        switch operand {
        case .now: FeatureValue.timestamp(time)
        case .input(let input): inputs[input]
        case .column(.feature(let read, let feature)): features[read][feature]
        case .column(.derived(let other)): computed[other]
        }
      }
      computed[index] = derived[index].program.value(
        of: derived[index].result, columns: operands, arena: arena)
    }
    return computed
  }
}

/// A derived column's program; column i of the program is `operands[i]`.
struct DerivedColumn: Sendable {
  enum Operand: Sendable {
    /// The time of the request.
    case now
    case input(Int)
    case column(ServicePlan.Origin)
  }

  var program: Program
  var result: Register
  var operands: [Operand]
}

extension Program {
  /// The value of a register for some values of the columns. A failed computation has none: nothing can be dead-lettered
  /// at the time of an answer.
  func value(of result: Register, columns: [FeatureValue], arena: TextArena) -> FeatureValue {
    withUnsafeTemporaryAllocation(of: Scalar.self, capacity: registerCount) { registers in
      let base = registers.baseAddress!
      prepare(base)
      for (index, value) in columns.enumerated() { base[index] = Scalar(value, in: arena) }
      run(base, arena: arena)
      return base[result.index].isValue ? FeatureValue(base[result.index], result.type) : .null
    }
  }
}
