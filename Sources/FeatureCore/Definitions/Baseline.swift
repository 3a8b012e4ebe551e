/// What a column held when a model was trained, counted by bin: what later values are compared with.
public struct Baseline: Sendable, Hashable {
  /// What the bins are.
  public enum Bins: Sendable, Hashable {
    /// Ascending edges e1..en of numbers: n + 1 bins, below e1, [e1, e2), ..., from en.
    case edges([Double])
    /// A bin for each text, and a last one for every other.
    case categories([String])
  }

  /// What the bins are.
  public var bins: Bins
  /// Rows of each bin.
  public var counts: [Int64]
  /// Rows without a value.
  public var nulls: Int64

  /// A baseline from its parts; `Plan` checks them.
  public init(_ bins: Bins, counts: [Int64], nulls: Int64 = 0) {
    self.bins = bins
    self.counts = counts
    self.nulls = nulls
  }

  /// All rows; nil if a count is negative, or there are more than a tile may hold.
  var validRowCount: Int64? {
    var total: Int64 = 0
    for count in counts + [nulls] {
      guard count >= 0, count <= Int64(Limits.tileEventsMax) - total else { return nil }
      total += count
    }
    return total
  }

  /// All rows; 0 if they can't be added up.
  public var rowCount: Int64 { validRowCount ?? 0 }

  var isOfTexts: Bool { if case .categories = bins { true } else { false } }

  var bucketTable: BucketTable {
    switch bins {
    case .edges(let edges): .double(edges)
    case .categories(let categories): .texts(categories.map { Text($0) })
    }
  }

  /// What is wrong with it: at which of its keys, what, and what to do.
  var mistakes: [(key: String, message: String, suggestion: String)] {
    var found: [(String, String, String)] = []
    let limit = Limits.baselineBinsMax
    switch bins {
    case .edges(let edges):
      if !(1...limit ~= edges.count) {
        found.append(("edges", "the baseline has \(edges.count) edges", "use 1 to \(limit)"))
      }
      if !edges.allSatisfy(\.isFinite) || !zip(edges, edges.dropFirst()).allSatisfy(<) {
        found.append(("edges", "the baseline's edges do not ascend", "sort them and remove doubles"))
      }
      checkCounts(edges.count, "edges", &found)
    case .categories(let categories):
      if !(1...limit ~= categories.count) {
        found.append(
          ("categories", "the baseline has \(categories.count) categories", "use 1 to \(limit)"))
      }
      if Set(categories.map { Text($0) }).count != categories.count {
        found.append(("categories", "a category of the baseline is named twice", "remove one"))
      }
      checkCounts(categories.count, "categories", &found)
    }
    return found
  }

  private func checkCounts(_ bins: Int, _ what: String, _ found: inout [(String, String, String)]) {
    if counts.count != bins + 1 {
      found.append(
        (
          "counts", "the baseline has \(bins) \(what) and \(counts.count) counts",
          "write \(bins + 1) counts: \(isOfTexts ? "one each, and one of all others" : "one more than edges")"
        ))
    }
    switch validRowCount {
    case nil: found.append(("counts", "a count of the baseline is out of range", "count rows: 0 or more"))
    case 0?: found.append(("counts", "the baseline has no rows", "count those that the model was trained on"))
    default: break
    }
  }
}
