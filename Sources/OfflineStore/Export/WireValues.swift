import FeatureCore

/// The values in a Protobuf message of ours.
enum WireValues {
  /// The values of a repeated field; nil if they are none of these types, or not as many.
  static func read(
    _ message: UnsafeRawBufferPointer, field number: UInt64, _ types: [FeatureType]
  ) -> [FeatureValue]? {
    var values: [FeatureValue] = []
    values.reserveCapacity(types.count)
    var fields = WireFields(message)
    while let field = try? fields.next() {
      guard field.number == number, case .bytes(let bytes) = field.value else { continue }
      guard values.count < types.count, let value = Self.value(bytes, types[values.count]) else { return nil }
      values.append(value)
    }
    return values.count == types.count ? values : nil
  }

  /// The values of a repeated field in which a view's features stand by their names, in the order of its features.
  static func read(
    _ message: UnsafeRawBufferPointer, field number: UInt64, of view: ViewPlan
  ) -> [FeatureValue]? {
    let order = view.featuresByName
    guard let sorted = read(message, field: number, order.map { view.features[$0].type }) else { return nil }
    var values = [FeatureValue](repeating: .null, count: order.count)
    for (index, value) in zip(order, sorted) { values[index] = value }
    return values
  }

  /// Whether a message has a field.
  static func has(_ message: UnsafeRawBufferPointer, field number: UInt64) -> Bool {
    var fields = WireFields(message)
    while let field = try? fields.next() {
      if field.number == number { return true }
    }
    return false
  }

  private static func value(_ message: UnsafeRawBufferPointer, _ type: FeatureType) -> FeatureValue? {
    guard message.count > 0 else { return .null }
    var fields = WireFields(message)
    guard let field = try? fields.next() else { return nil }
    switch (type, field.number, field.value) {
    case (.scalar(.int64), 1, .varint(let bits)): return .int64(Int64(bitPattern: bits))
    case (.scalar(.double), 2, .fixed64(let bits)):
      let number = Double(bitPattern: bits)
      return number.isFinite ? .double(number) : nil
    case (.scalar(.bool), 3, .varint(let bits)): return .bool(bits != 0)
    case (.scalar(.string), 4, .bytes(let text)):
      return SnapshotRecord.isText(text) ? .string(Text(text)) : nil
    case (.scalar(.timestamp), 5, .varint(let bits)):
      return .timestamp(EventTime(microseconds: Int64(bitPattern: bits)))
    case (.list(let element), 6, .bytes(let list)): return self.list(list, .scalar(element))
    default: return nil
    }
  }

  private static func list(_ message: UnsafeRawBufferPointer, _ type: FeatureType) -> FeatureValue? {
    var elements: [FeatureValue] = []
    var fields = WireFields(message)
    do throws(WireFields.Malformed) {
      while let field = try fields.next() {
        guard field.number == 1, case .bytes(let bytes) = field.value, let element = value(bytes, type),
          element != .null
        else { return nil }
        elements.append(element)
      }
    } catch {
      return nil
    }
    return .list(elements)
  }
}
