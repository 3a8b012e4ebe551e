extension RegexPattern {
  /// What a pattern found.
  enum Found: Equatable {
    case nothing
    /// It matches, and the group took no part.
    case withoutGroup
    /// The group's bytes.
    case group(Range<Int>)
  }

  /// The leftmost match in a text, and what a group of it spans; group 0 is the whole match. Room comes from the arena.
  func find(in text: UnsafeRawBufferPointer, group: Int, _ arena: TextArena) -> Found {
    var machine = RegexMachine(self, text, group: group, arena)
    return machine.run()
  }
}

/// Follows every thread of a pattern that may still match, the preferred ones first, one scalar of the text at a time
/// (Pike's algorithm).
private struct RegexMachine {
  private struct Thread {
    var step: Int
    var groupStart: Int
    var groupEnd: Int
  }

  private typealias Threads = UnsafeMutableBufferPointer<Thread>

  private let steps: [RegexPattern.Step]
  private let classes: [RegexPattern.Class]
  private let text: UnsafeRawBufferPointer
  private let group: Int
  private var now: Threads
  private var next: Threads
  private var nowCount = 0
  private var nextCount = 0
  /// Threads that are being followed to where they read something.
  private let stack: Threads
  /// By step, the place in the text at which a thread has last reached it: later ones are less preferred.
  private let reached: UnsafeMutableBufferPointer<Int>

  init(_ pattern: RegexPattern, _ text: UnsafeRawBufferPointer, group: Int, _ arena: TextArena) {
    steps = pattern.steps
    classes = pattern.classes
    self.text = text
    self.group = group
    let count = steps.count
    now = Self.room(count, arena)
    next = Self.room(count, arena)
    // Each step is followed once at a place, and leaves two threads at most.
    stack = Self.room(2 * count + 2, arena)
    reached = Self.room(count, arena)
    reached.initialize(repeating: -1)
  }

  private static func room<Element>(_ count: Int, _ arena: TextArena) -> UnsafeMutableBufferPointer<Element> {
    let alignment = MemoryLayout<Element>.alignment
    let bytes = arena.allocate(count * MemoryLayout<Element>.stride + alignment)
    let skipped = (0 &- Int(bitPattern: bytes.baseAddress)) & (alignment - 1)
    let aligned = UnsafeMutableRawBufferPointer(
      rebasing: bytes[skipped..<(skipped + count * MemoryLayout<Element>.stride)])
    return aligned.bindMemory(to: Element.self)
  }

  mutating func run() -> RegexPattern.Found {
    var found: Thread?
    var at = 0
    while true {
      if found == nil { follow(Thread(step: 0, groupStart: -1, groupEnd: -1), at) }
      // What was followed is for this place.
      swap(&now, &next)
      (nowCount, nextCount) = (nextCount, 0)
      if nowCount == 0, found != nil { break }
      let (scalar, end) = scalar(at)
      for index in 0..<nowCount {
        let thread = now[index]
        if case .one(let set) = steps[thread.step] {
          guard at < text.count, classes[set].contains(scalar) else { continue }
          follow(Thread(step: thread.step + 1, groupStart: thread.groupStart, groupEnd: thread.groupEnd), end)
        } else {
          // A match: the threads behind it are less preferred.
          found = thread
          break
        }
      }
      guard at < text.count else { break }
      at = end
    }
    guard let found else { return .nothing }
    guard found.groupStart >= 0, found.groupEnd >= 0 else { return .withoutGroup }
    return .group(found.groupStart..<found.groupEnd)
  }

  /// Takes a thread to the steps that read something, or match, and adds those to the next threads.
  private mutating func follow(_ thread: Thread, _ at: Int) {
    stack[0] = thread
    var count = 1
    while count > 0 {
      count -= 1
      var thread = stack[count]
      guard reached[thread.step] != at else { continue }
      reached[thread.step] = at
      let step = steps[thread.step]
      thread.step += 1
      switch step {
      case .one, .match:
        thread.step -= 1
        next[nextCount] = thread
        nextCount += 1
        continue
      case .jump(let target): thread.step = target
      case .split(let first, let second):
        thread.step = second
        stack[count] = thread
        count += 1
        thread.step = first
      case .save(let slot):
        if slot == 2 * group { thread.groupStart = at }
        if slot == 2 * group + 1 { thread.groupEnd = at }
      case .start: if at > 0 { continue }
      case .end: if at < text.count { continue }
      case .wordEdge: if !isWordEdge(at) { continue }
      case .noWordEdge: if isWordEdge(at) { continue }
      }
      stack[count] = thread
      count += 1
    }
  }

  private func isWordEdge(_ at: Int) -> Bool {
    func isWord(_ index: Int) -> Bool {
      guard index >= 0, index < text.count else { return false }
      switch text[index] {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
        return true
      default: return false
      }
    }
    return isWord(at - 1) != isWord(at)
  }

  /// The scalar that starts here, and where it ends.
  private func scalar(_ at: Int) -> (UInt32, Int) {
    guard at < text.count else { return (0, at) }
    let first = UInt32(text[at])
    guard first >= 0x80 else { return (first, at + 1) }
    let length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : 2
    var scalar = first & (0xFF >> UInt32(length + 1))
    for index in (at + 1)..<min(text.count, at + length) { scalar = scalar << 6 | UInt32(text[index] & 0x3F) }
    return (scalar, min(text.count, at + length))
  }
}
