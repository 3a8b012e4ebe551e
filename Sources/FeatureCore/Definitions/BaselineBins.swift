// How a column of a training set becomes a baseline.

extension Baseline {
  /// Bins that are equally full, but where one value fills more than one.
  private static let quantiles = 20

  /// Bins of numbers between their quantiles; a value that fills one or more has a bin of its own, so that a rising or falling
  /// share of zeros shows. `isWhole`: they are integers. What is not finite counts as null. nil if nothing is left.
  public static func ofNumbers(_ values: [Double], nulls: Int64, isWhole: Bool) -> Baseline? {
    // Adding zero makes -0.0 and 0.0 one value.
    let sorted = values.lazy.filter(\.isFinite).map { $0 + 0 }.sorted()
    guard let largest = sorted.last else { return nil }
    let cuts = (0...quantiles).map { $0 == quantiles ? largest : sorted[$0 * sorted.count / quantiles] }
    var edges = Set(cuts[1..<quantiles])
    for (cut, next) in zip(cuts, cuts.dropFirst()) where cut == next {
      let above = isWhole && cut.magnitude < 0x1p53 ? cut + 1 : cut.nextUp
      if above.isFinite { edges.insert(above) }
    }
    let ascending = edges.sorted()
    let ends = ascending.map { sorted.countBelow($0) } + [sorted.count]
    let counts = zip([0] + ends, ends).map { Int64($1 - $0) }
    return Baseline(
      .edges(ascending), counts: counts, nulls: nulls + Int64(values.count - sorted.count))
  }

  /// A bin for each of the most frequent texts, ties ascending, and one for all others. nil without a text.
  public static func ofTexts(_ rows: [Text: Int64], nulls: Int64) -> Baseline? {
    guard !rows.isEmpty else { return nil }
    let ranked = rows.sorted { $0.value != $1.value ? $0.value > $1.value : $0.key < $1.key }
    let kept = ranked.prefix(Limits.baselineBinsMax)
    let rest = ranked.dropFirst(kept.count).reduce(0) { $0 + $1.value }
    return Baseline(
      .categories(kept.map(\.key.description)), counts: kept.map(\.value) + [rest], nulls: nulls)
  }
}

extension [Double] {
  /// How many elements of an ascending array are less than a value.
  fileprivate func countBelow(_ value: Double) -> Int {
    var (low, high) = (0, count)
    while low < high {
      let middle = (low + high) / 2
      if self[middle] < value { low = middle + 1 } else { high = middle }
    }
    return low
  }
}
