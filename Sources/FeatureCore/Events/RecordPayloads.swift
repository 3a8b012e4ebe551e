/// What the records of a batch are, found by their numbers, which ascend.
public struct RecordPayloads {
  private var numbers: [Int64] = []
  private var payloads: [UnsafeRawBufferPointer] = []

  /// None.
  public init() {}

  /// How many there are.
  public var count: Int { numbers.count }

  /// Makes room for some.
  public mutating func reserve(_ count: Int) {
    numbers.reserveCapacity(count)
    payloads.reserveCapacity(count)
  }

  /// Adds the next one.
  public mutating func append(_ payload: UnsafeRawBufferPointer, number: Int64) {
    precondition(numbers.last ?? .min < number, "Cannot add the record \(number) behind a later one")
    numbers.append(number)
    payloads.append(payload)
  }

  /// Forgets them.
  public mutating func removeAll() {
    numbers.removeAll(keepingCapacity: true)
    payloads.removeAll(keepingCapacity: true)
  }

  /// Where the record of a number stands; it must be there.
  public func index(of number: Int64) -> Int {
    var (low, high) = (0, numbers.count)
    while low < high {
      let middle = (low + high) / 2
      if numbers[middle] < number { low = middle + 1 } else { high = middle }
    }
    precondition(low < numbers.count && numbers[low] == number, "Cannot find the record \(number)")
    return low
  }

  /// The number of the record at an index.
  public func number(at index: Int) -> Int64 { numbers[index] }

  /// The record at an index.
  public subscript(index: Int) -> UnsafeRawBufferPointer {
    get { payloads[index] }
    set { payloads[index] = newValue }
  }
}
