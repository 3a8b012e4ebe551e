import Foundation

/// What waits for a thread of its own, which takes all of it at once: while it is busy the next gathers. Bounded in rows, those
/// that the thread is busy with included. Any thread.
final class RowQueue<Element: Sendable>: @unchecked Sendable {
  let rowsMax: Int
  private let condition = NSCondition()
  private var waiting: [Element] = []
  private var rowsWaiting = 0
  private var rowsTaken = 0
  private var isStopping = false
  private let thread = DispatchGroup()

  init(rowsMax: Int) { self.rowsMax = rowsMax }

  /// Begins to hand over what waits.
  func start(_ take: @escaping @Sendable ([Element]) -> Void) {
    thread.enter()
    Thread.detachNewThread { [self] in
      while let elements = next() { take(elements) }
      thread.leave()
    }
  }

  /// False if there is no room for so many rows.
  func add(_ element: Element, rows: Int) -> Bool {
    condition.lock()
    defer { condition.unlock() }
    guard rowsWaiting + rowsTaken + rows <= rowsMax else { return false }
    rowsWaiting += rows
    waiting.append(element)
    condition.signal()
    return true
  }

  /// Hands over what still waits, and ends, within some seconds. Blocks.
  func stop(seconds: Int) {
    condition.lock()
    isStopping = true
    condition.signal()
    condition.unlock()
    _ = thread.wait(timeout: .now() + .seconds(seconds))
  }

  private func next() -> [Element]? {
    condition.lock()
    defer { condition.unlock() }
    rowsTaken = 0
    while waiting.isEmpty, !isStopping { condition.wait() }
    guard !waiting.isEmpty else { return nil }
    defer {
      waiting = []
      (rowsTaken, rowsWaiting) = (rowsWaiting, 0)
    }
    return waiting
  }
}
