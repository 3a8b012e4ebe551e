/// A regular expression as a program of a machine that reads a text once: RE2's common syntax and meaning, leftmost match,
/// earlier alternatives first. No back references and no look-around, so the time is at most pattern times text.
final class RegexPattern: Sendable {
  /// What is wrong with a pattern, and at which of its Unicode scalars.
  struct Mistake: Error {
    var message: String
    var offset: Int
  }

  /// A step of the machine.
  enum Step: Hashable, Sendable {
    /// One scalar of a class.
    case one(Int)
    /// Go on at both, preferring the first.
    case split(Int, Int)
    case jump(Int)
    /// Note where the text stands, in slot n.
    case save(Int)
    case start, end, wordEdge, noWordEdge
    case match
  }

  /// Scalars: ascending ranges, and whether they are the ones that don't belong.
  struct Class: Hashable, Sendable {
    var ranges: [ClosedRange<UInt32>]
    var isNegated = false

    func contains(_ scalar: UInt32) -> Bool {
      for range in ranges where range.contains(scalar) { return !isNegated }
      return isNegated
    }
  }

  /// Steps of one pattern: far above what a person writes.
  static let stepsMax = 2_000

  let steps: [Step]
  let classes: [Class]
  /// Groups with a number.
  let groupCount: Int

  init(_ text: String) throws(Mistake) {
    var parser = RegexParser(text)
    let tree = try parser.parse()
    var compiler = RegexCompiler()
    try compiler.add(.group(tree, 0))
    compiler.steps.append(.match)
    steps = compiler.steps
    classes = compiler.classes
    groupCount = parser.groupCount
  }
}

/// A parsed pattern.
indirect enum RegexTree {
  case empty
  case one(RegexPattern.Class)
  case sequence([RegexTree])
  case choice([RegexTree])
  case repeated(RegexTree, least: Int, most: Int?, isLazy: Bool)
  case group(RegexTree, Int)
  case edge(RegexPattern.Step)
}

/// Makes steps of a tree (Thompson's construction).
private struct RegexCompiler {
  var steps: [RegexPattern.Step] = []
  var classes: [RegexPattern.Class] = []

  mutating func add(_ tree: RegexTree) throws(RegexPattern.Mistake) {
    guard steps.count < RegexPattern.stepsMax else {
      throw RegexPattern.Mistake(message: "the pattern is too large", offset: 0)
    }
    switch tree {
    case .empty: break
    case .one(let set):
      let index = classes.firstIndex(of: set) ?? classes.count
      if index == classes.count { classes.append(set) }
      steps.append(.one(index))
    case .sequence(let parts): for part in parts { try add(part) }
    case .choice(let parts): try addChoice(parts)
    case .group(let inner, let number):
      steps.append(.save(2 * number))
      try add(inner)
      steps.append(.save(2 * number + 1))
    case .edge(let step): steps.append(step)
    case .repeated(let inner, let least, let most, let isLazy):
      for _ in 0..<least { try add(inner) }
      if let most {
        try addOptional(inner, count: most - least, isLazy)
      } else {
        try addLoop(inner, isLazy)
      }
    }
  }

  private mutating func addChoice(_ parts: [RegexTree]) throws(RegexPattern.Mistake) {
    var ends: [Int] = []
    for (index, part) in parts.enumerated() {
      guard index < parts.count - 1 else {
        try add(part)
        break
      }
      let split = steps.count
      steps.append(.match)
      try add(part)
      ends.append(steps.count)
      steps.append(.match)
      steps[split] = .split(split + 1, steps.count)
    }
    for end in ends { steps[end] = .jump(steps.count) }
  }

  private mutating func addLoop(_ inner: RegexTree, _ isLazy: Bool) throws(RegexPattern.Mistake) {
    let split = steps.count
    steps.append(.match)
    try add(inner)
    steps.append(.jump(split))
    steps[split] = isLazy ? .split(steps.count, split + 1) : .split(split + 1, steps.count)
  }

  private mutating func addOptional(
    _ inner: RegexTree, count: Int, _ isLazy: Bool
  ) throws(RegexPattern.Mistake) {
    var splits: [Int] = []
    for _ in 0..<count {
      splits.append(steps.count)
      steps.append(.match)
      try add(inner)
    }
    for split in splits {
      steps[split] = isLazy ? .split(steps.count, split + 1) : .split(split + 1, steps.count)
    }
  }
}
