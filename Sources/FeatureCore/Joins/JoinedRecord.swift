/// Writes the records that a join makes: JSON objects that the decoder of events reads as events of the join's source.
extension JoinPlan {
  /// The members of a right event that the record carries, each after a comma.
  public func carriedMembers(_ row: UnsafePointer<Scalar>) -> [UInt8] {
    var members: [UInt8] = []
    for column in carried {
      // Cut like any text that a state keeps: the record has to fit.
      let scalar = row[column.column]
      let isText = column.type == .string && scalar.isValue
      append(column.name, isText ? .text(stateText(scalar.text)) : scalar, column.type, to: &members)
    }
    return members
  }

  /// The members of the row of a table that the record carries; `values` are those of `right`'s features.
  public func carriedMembers(_ values: [FeatureValue]) -> [UInt8] {
    let arena = TextArena()
    var members: [UInt8] = []
    for column in carried {
      append(column.name, Scalar(values[column.feature], in: arena), column.type, to: &members)
    }
    return members
  }

  /// Replaces a buffer's content by the record of a left event and what it got.
  public func write(_ left: UnsafePointer<Scalar>, carrying members: [UInt8], to record: inout [UInt8]) {
    record.removeAll(keepingCapacity: true)
    for (index, column) in leftColumns.enumerated() {
      append(column.name, left[index], column.type, to: &record)
    }
    record.append(contentsOf: members)
    record.append(UInt8(ascii: "}"))
    record[0] = UInt8(ascii: "{")
  }

  /// The members of an outcome: whether an event followed, and its own.
  public func outcomeMembers(_ event: RightEvents.Event?, revision: Int64) -> [UInt8] {
    var members: [UInt8] = []
    if let event {
      members = event.fields
    } else {
      for column in carried { append(column.name, .null, column.type, to: &members) }
    }
    append(Column.label, .bool(event != nil), .bool, to: &members)
    append(Column.labelTime, event.map { .int64($0.time) } ?? .null, .timestamp, to: &members)
    append(Column.revision, .int64(revision), .int64, to: &members)
    return members
  }

  private func append(_ name: String, _ scalar: Scalar, _ type: ValueType, to buffer: inout [UInt8]) {
    buffer.append(UInt8(ascii: ","))
    ValueText.appendJSONString(Array(name.utf8), to: &buffer)
    buffer.append(UInt8(ascii: ":"))
    ValueText.appendJSON(scalar, type, to: &buffer)
  }
}
