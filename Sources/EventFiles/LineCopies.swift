/// Lines that stay when their reader goes on: another thread may work on them meanwhile. One owner.
public struct LineCopies: ~Copyable {
  private var bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 64)
  private var lines: [Line] = []

  /// No lines.
  public init() {}

  deinit { bytes.deallocate() }

  /// Replaces what it holds by copies of a block's lines.
  public mutating func take(_ block: LineBlock) {
    let count = block.reduce(0) { $0 + $1.bytes.count }
    if count > bytes.count {
      bytes.deallocate()
      bytes = .allocate(byteCount: count * 2, alignment: 64)
    }
    lines.removeAll(keepingCapacity: true)
    var start = 0
    for line in block {
      let copy = UnsafeMutableRawBufferPointer(rebasing: bytes[start..<(start + line.bytes.count)])
      copy.copyMemory(from: line.bytes)
      start += copy.count
      lines.append(
        Line(bytes: UnsafeRawBufferPointer(copy), number: line.number, isOversized: line.isOversized))
    }
  }

  /// Calls with the lines, which are borrowed.
  public func withLines<Result, Failure: Error>(
    _ body: (LineBlock) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    try lines.withUnsafeBufferPointer { (lines) throws(Failure) in try body(lines) }
  }
}
