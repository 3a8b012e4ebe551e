/// A binary heap of elements by time, earliest first. What it gives is a function of what was done to it.
struct TimedHeap<Element: Sendable>: Sendable {
  private var entries: [(time: UInt64, element: Element)] = []

  /// The earliest time; nil when empty.
  var firstTime: UInt64? { entries.first?.time }
  /// The element of the earliest time. There must be one.
  var first: Element { entries[0].element }

  mutating func insert(_ element: Element, at time: UInt64) {
    entries.append((time, element))
    var child = entries.count - 1
    while child > 0 {
      let parent = (child - 1) / 2
      if entries[parent].time <= entries[child].time { return }
      entries.swapAt(parent, child)
      child = parent
    }
  }

  /// Gives the first element a later time.
  mutating func moveFirst(to time: UInt64) {
    entries[0].time = time
    siftDown()
  }

  mutating func removeFirst() -> Element {
    let removed = entries[0].element
    let last = entries.removeLast()
    if !entries.isEmpty {
      entries[0] = last
      siftDown()
    }
    return removed
  }

  private mutating func siftDown() {
    entries.withUnsafeMutableBufferPointer { entries in
      let moving = entries[0]
      var hole = 0
      while true {
        var child = 2 * hole + 1
        if child >= entries.count { break }
        if child + 1 < entries.count && entries[child + 1].time < entries[child].time { child += 1 }
        if moving.time <= entries[child].time { break }
        entries[hole] = entries[child]
        hole = child
      }
      entries[hole] = moving
    }
  }
}
