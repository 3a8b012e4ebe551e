/// What was probably meant by a name that nothing has.
public enum Suggestion {
  /// The candidate with the fewest edits, if it is near enough to be a slip; as a sentence.
  public static func didYouMean(_ name: String, among candidates: some Sequence<String>) -> String? {
    let limit = max(1, name.utf8.count / 3)
    // Names that are longer by more edits than a slip has need no comparison.
    let best =
      candidates.lazy.filter { abs($0.utf8.count - name.utf8.count) <= limit }
      .map { (edits: editDistance(name.lowercased(), $0.lowercased()), candidate: $0) }
      .min { ($0.edits, $0.candidate) < ($1.edits, $1.candidate) }
    guard let best, best.edits <= limit else { return nil }
    return "did you mean '\(best.candidate)'?"
  }

  /// Levenshtein's distance with transpositions of neighbours (optimal string alignment), in bytes.
  static func editDistance(_ lhs: String, _ rhs: String) -> Int {
    let a = Array(lhs.utf8)
    let b = Array(rhs.utf8)
    var previous = [Int](repeating: 0, count: b.count + 1)
    var current = Array(0...b.count)
    for i in 1..<(a.count + 1) {
      let beforePrevious = previous
      previous = current
      current[0] = i
      for j in 1..<(b.count + 1) {
        let substitution = previous[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)
        current[j] = min(substitution, previous[j] + 1, current[j - 1] + 1)
        if i > 1, j > 1, a[i - 1] == b[j - 2], a[i - 2] == b[j - 1] {
          current[j] = min(current[j], beforePrevious[j - 2] + 1)
        }
      }
    }
    return current[b.count]
  }
}
