/// What an aggregate function takes, keeps and returns; checks a feature against it.
struct AggregateRule {
  let aggregate: Aggregate
  let value: Register?
  let path: DefinitionPath
  private(set) var mistakes: [Mistake] = []
  /// The place of the baseline among those of the view, if there is one.
  private var reference: Int?

  init(_ aggregate: Aggregate, value: Register?, path: DefinitionPath) {
    self.aggregate = aggregate
    self.value = value
    self.path = path
  }

  private var name: String { aggregate.function.rawValue }

  private mutating func report(_ key: String?, _ message: String, _ suggestion: String) {
    mistakes.append(Mistake(key.map(path.child) ?? path, message, suggestion: suggestion))
  }

  /// The accumulator, without registers; nil after mistakes.
  mutating func accumulator(tables: inout [BucketTable], baselines: inout [Baseline]) -> Accumulator? {
    checkParameters()
    checkLabel()
    checkBaseline()
    checkValue()
    guard mistakes.isEmpty else { return nil }
    let type = value?.type ?? .int64
    var accumulator = Accumulator(kind: kind(type), type: type)
    switch aggregate.function {
    case .firstK, .lastK, .lastDistinctK: accumulator.k = aggregate.k ?? 0
    case .topK where aggregate.counters == nil: accumulator.k = aggregate.k ?? 0
    // Not k: features that ask for more or fewer of the values share a column.
    case .topK, .topKCounts, .topKErrors, .topKCertain: accumulator.counters = aggregate.counters ?? 0
    case .countBy: accumulator.counters = aggregate.counters ?? aggregate.k ?? 0
    // One text is a list of one; numbers have words of their own.
    case .first, .last: accumulator.k = type == .string ? 1 : 0
    case .decayedSum, .decayedCount: accumulator.halfLife = Double(aggregate.halfLife ?? 0)
    case .histogram:
      guard let table = bucketTable(aggregate.buckets ?? [], type) else { return nil }
      accumulator.count(by: table, among: &tables)
    case .psi, .psiExcess, .js, .nullShare:
      // Without a baseline, all values are in one bin.
      accumulator.count(by: aggregate.baseline?.bucketTable ?? .texts([]), among: &tables)
      accumulator.countsNulls = true
      accumulator.bucketCount += 1
      guard let baseline = aggregate.baseline else { break }
      let place = baselines.firstIndex(of: baseline) ?? baselines.count
      if place == baselines.count { baselines.append(baseline) }
      reference = place
    case .count, .sum, .product, .mean, .variance, .stddev, .min, .max, .countDistinct, .approxQuantile,
      .secondsSinceLast, .auc, .aucBound, .prAUC, .expectedAUC, .logLoss, .normalizedEntropy, .calibration,
      .ece,
      .brier, .mae, .rmse, .bias:
      break
    }
    return accumulator
  }

  /// The type of the feature; nil if the value's type is unknown.
  var resultType: FeatureType? {
    let type = value?.type
    switch aggregate.function {
    case .count, .countDistinct, .topKCertain: return .scalar(.int64)
    case .product, .mean, .variance, .stddev, .approxQuantile, .decayedSum, .decayedCount, .secondsSinceLast,
      .auc, .aucBound, .prAUC, .expectedAUC, .logLoss, .normalizedEntropy, .calibration, .ece, .brier,
      .mae, .rmse, .bias, .psi, .psiExcess, .js, .nullShare:
      return .scalar(.double)
    case .sum, .min, .max, .first, .last: return type.map(FeatureType.scalar)
    case .firstK, .lastK, .lastDistinctK, .topK: return type.map(FeatureType.list)
    case .histogram, .topKCounts, .topKErrors: return .list(.int64)
    case .countBy: return .scalar(.string)
    }
  }

  /// How merged tiles become the feature's value.
  var result: ResultKind {
    switch aggregate.function {
    case .count: .count
    case .sum: .sum
    case .product: .product
    case .mean: .mean
    case .min, .max: .extreme
    case .variance: .variance
    case .stddev: .stddev
    case .first, .last: .edge
    case .firstK, .lastK, .lastDistinctK: .list
    case .countDistinct: .distinct
    case .approxQuantile: .quantile(aggregate.q ?? 0)
    case .topK: .top(aggregate.k ?? 0)
    case .topKCounts: .topCounts(aggregate.k ?? 0)
    case .topKErrors: .topErrors(aggregate.k ?? 0)
    case .topKCertain: .topCertain(aggregate.k ?? 0)
    case .countBy: .countMap(aggregate.k ?? 0)
    case .histogram: .histogram
    case .decayedSum, .decayedCount: .decayed
    case .secondsSinceLast: .latestTime
    case .auc: .measure(.auc)
    case .aucBound: .measure(.aucBound)
    case .prAUC: .measure(.prAUC)
    case .expectedAUC: .measure(.expectedAUC)
    case .logLoss: .measure(.logLoss)
    case .normalizedEntropy: .measure(.normalizedEntropy)
    case .calibration: .measure(.calibration)
    case .ece: .measure(.ece)
    case .brier: .measure(.brier)
    case .mae, .bias: .mean
    case .rmse: .rootMean
    case .psi: .drift(.psi, baseline: reference)
    case .psiExcess: .drift(.psiExcess, baseline: reference)
    case .js: .drift(.js, baseline: reference)
    case .nullShare: .drift(.nullShare, baseline: reference)
    }
  }

  /// The value of `default:` in the feature's type.
  mutating func fallback(_ literal: Literal?, type: FeatureType) -> FeatureValue {
    guard let literal else { return .null }
    guard let value = literal.value(as: type) else {
      report("default", "the default is not of type \(type)", "write a value of that type, or remove it")
      return .null
    }
    return value
  }

  private func kind(_ type: ValueType) -> Accumulator.Kind {
    let isInteger = type == .int64
    switch aggregate.function {
    case .count: return .count
    case .sum: return isInteger ? .sumInt64 : .sumDouble
    case .product: return .product
    case .mean: return isInteger ? .meanInt64 : .meanDouble
    case .variance, .stddev: return .moments
    case .min: return type == .string ? .minText : type == .double ? .minDouble : .minInt64
    case .max: return type == .string ? .maxText : type == .double ? .maxDouble : .maxInt64
    case .first: return type == .string ? .firstList : .first
    case .last: return type == .string ? .lastList : .last
    case .firstK: return .firstList
    case .lastK: return .lastList
    case .lastDistinctK: return .lastDistinct
    case .countDistinct: return .distinct
    case .approxQuantile: return .quantiles
    case .topK where aggregate.counters == nil: return .topCounts
    case .topK, .topKCounts, .topKErrors, .topKCertain, .countBy: return .heavyHitters
    case .histogram, .psi, .psiExcess, .js, .nullShare: return .histogram
    case .decayedSum, .decayedCount: return .decayed
    case .secondsSinceLast: return .latestTime
    case .auc, .aucBound, .prAUC, .expectedAUC, .logLoss, .normalizedEntropy, .calibration, .ece, .brier:
      return .scores
    case .mae, .rmse, .bias: return .meanDouble
    }
  }

  private mutating func checkParameters() {
    let needsCounters = [.topKCounts, .topKErrors, .topKCertain].contains(aggregate.function)
    let isTop = [.topK, .countBy].contains(aggregate.function) || needsCounters
    let takesK = [.firstK, .lastK, .lastDistinctK].contains(aggregate.function) || isTop
    let kMax = aggregate.function == .countBy ? Limits.topCountersMax : Limits.kMax
    check(
      "k", isGiven: aggregate.k != nil, isTaken: takesK, isValid: 1...kMax ~= aggregate.k ?? 0,
      form: "a whole number from 1 to \(kMax)")
    if needsCounters || aggregate.counters != nil {
      let fewest = min(max(1, aggregate.k ?? 1), Limits.topCountersMax)
      check(
        "counters", isGiven: aggregate.counters != nil, isTaken: isTop,
        isValid: fewest...Limits.topCountersMax ~= aggregate.counters ?? 0,
        form:
          "a whole number from k to \(Limits.topCountersMax), such as 256; like the top_k that it is about")
    }
    check(
      "q", isGiven: aggregate.q != nil, isTaken: aggregate.function == .approxQuantile,
      isValid: 0...1 ~= aggregate.q ?? -1, form: "a number from 0 to 1, such as 0.95")
    let takesHalfLife = [.decayedSum, .decayedCount].contains(aggregate.function)
    check(
      "half_life", isGiven: aggregate.halfLife != nil, isTaken: takesHalfLife,
      isValid: (aggregate.halfLife ?? 0) > 0, form: "a duration of more than 0s, such as 7d")
    check(
      "buckets", isGiven: aggregate.buckets != nil, isTaken: aggregate.function == .histogram,
      isValid: 1...(Limits.histogramBucketsMax - 1) ~= aggregate.buckets?.count ?? 0,
      form: "a list of 1 to \(Limits.histogramBucketsMax - 1) ascending edges or of strings")
  }

  private mutating func check(_ key: String, isGiven: Bool, isTaken: Bool, isValid: Bool, form: String) {
    if isGiven, !isTaken {
      report(key, "\(name) takes no '\(key)'", "remove it")
    } else if isTaken, !isGiven {
      report(nil, "\(name) needs '\(key)'", "add '\(key)': \(form)")
    } else if isTaken, !isValid {
      report(key, "'\(key)' is out of range", "use \(form)")
    }
  }

  private mutating func checkLabel() {
    if aggregate.label != nil, !aggregate.function.takesLabel {
      report("label", "\(name) takes no 'label'", "remove it")
    } else if aggregate.label == nil, aggregate.function.takesLabel {
      let form = aggregate.function.isErrorMeasure ? "the number that has come of it" : "a condition"
      report(nil, "\(name) needs 'label'", "add 'label': \(form)")
    }
  }

  private mutating func checkBaseline() {
    let isTaken = aggregate.function.driftMeasure != nil
    guard let baseline = aggregate.baseline else {
      if isTaken, aggregate.function != .nullShare {
        report(
          nil, "\(name) needs 'baseline'",
          "name a file that 'plumb baseline' has written, or write { edges: [...], counts: [...] }")
      }
      return
    }
    guard isTaken else { return report("baseline", "\(name) takes no 'baseline'", "remove it") }
    let place = path.child("baseline")
    for (key, message, suggestion) in baseline.mistakes {
      mistakes.append(Mistake(place.child(key), message, suggestion: suggestion))
    }
    guard let type = value?.type, [.string, .int64, .double, .bool].contains(type) else { return }
    if (type == .string) != baseline.isOfTexts {
      let (has, needs) = baseline.isOfTexts ? ("categories", "texts") : ("edges", "numbers")
      report(
        "baseline", "the baseline has \(has), the value is a \(type.rawValue)",
        "compare \(needs), or CAST the value")
    }
  }

  private mutating func checkValue() {
    guard let value else {
      let takesNone = [.count, .decayedCount, .secondsSinceLast].contains(aggregate.function)
      if !takesNone { report(nil, "\(name) needs 'value'", "add 'value': a field or an expression") }
      return
    }
    switch aggregate.function {
    case .decayedCount, .secondsSinceLast:
      report("value", "\(name) takes no 'value': it is about events", "use 'where' to choose the events")
    case .sum, .product, .mean, .variance, .stddev, .approxQuantile, .decayedSum, .mae, .rmse, .bias,
      .auc, .aucBound, .prAUC, .expectedAUC, .logLoss, .normalizedEntropy, .calibration, .ece, .brier:
      require([.int64, .double], value.type, "a number")
    case .min, .max:
      require(
        [.int64, .double, .timestamp, .string, .bool], value.type, "a number, timestamp, string or bool")
    case .lastDistinctK, .topK, .topKCounts, .topKErrors, .topKCertain, .countBy:
      require([.string, .int64, .bool, .timestamp], value.type, "a string, int64, timestamp or bool")
    case .histogram: require([.string, .int64, .double], value.type, "a string or a number")
    case .psi, .psiExcess, .js:
      require([.string, .int64, .double, .bool], value.type, "a string, a number or a bool")
    case .count, .first, .last, .firstK, .lastK, .countDistinct, .nullShare: break
    }
  }

  private mutating func require(_ types: [ValueType], _ found: ValueType, _ form: String) {
    if types.contains(found) { return }
    report("value", "\(name) needs \(form), the value is a \(found.rawValue)", "change the value, or CAST it")
  }

  private mutating func bucketTable(_ literals: [Literal], _ type: ValueType) -> BucketTable? {
    let values = literals.compactMap { $0.value(as: .scalar(type)) }
    guard values.count == literals.count else {
      report(
        "buckets", "the buckets are not all of the value's type, \(type.rawValue)", "write them in that type")
      return nil
    }
    switch type {
    case .int64:
      let edges = values.compactMap { if case .int64(let edge) = $0 { edge } else { nil } }
      return ascending(edges) ? .int64(edges) : nil
    case .double:
      let edges = values.compactMap { if case .double(let edge) = $0 { edge } else { nil } }
      return ascending(edges) ? .double(edges) : nil
    default:
      let texts = values.compactMap { if case .string(let text) = $0 { text } else { nil } }
      guard Set(texts).count == texts.count else {
        report("buckets", "a bucket is named twice", "remove one")
        return nil
      }
      return .texts(texts)
    }
  }

  private mutating func ascending<Edge: Comparable>(_ edges: [Edge]) -> Bool {
    if zip(edges, edges.dropFirst()).allSatisfy(<) { return true }
    report("buckets", "the edges do not ascend", "sort them and remove doubles")
    return false
  }
}

extension Accumulator {
  /// Counts by a table, which features share.
  fileprivate mutating func count(by table: BucketTable, among tables: inout [BucketTable]) {
    buckets = tables.firstIndex(of: table) ?? tables.count
    if buckets == tables.count { tables.append(table) }
    bucketCount = table.bucketCount
  }
}

extension Literal {
  /// The literal in a feature's type; integers are valid doubles. nil if it is of another type.
  func value(as type: FeatureType) -> FeatureValue? {
    switch (self, type) {
    case (.int64(let value), .scalar(.int64)): .int64(value)
    case (.int64(let value), .scalar(.double)): .double(Double(value))
    case (.double(let value), .scalar(.double)) where value.isFinite: .double(value)
    case (.string(let value), .scalar(.string)): .string(Text(value))
    case (.bool(let value), .scalar(.bool)): .bool(value)
    default: nil
    }
  }
}
