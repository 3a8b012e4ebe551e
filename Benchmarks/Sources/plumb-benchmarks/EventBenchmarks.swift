import FeatureCore

/// Decoding and expressions: what happens to an event before it meets a state.
enum EventBenchmarks {
  static func run(_ harness: Harness, _ events: EventBytes) {
    decode(harness, events)
    expressions(harness, events)
  }

  private static func decode(_ harness: Harness, _ events: EventBytes) {
    Harness.printHeading("Decoding events of \(events.bytes.count / events.count) bytes")
    for (name, fields) in [("all 9 fields declared", 9), ("6 fields declared", 6), ("2 fields declared", 2)] {
      let batch = EventBatch(EventSchema(source(fields)), capacity: 256)
      harness.measure(name, count: events.count) { stopwatch in
        stopwatch.start()
        events.forEachLine { line, number in
          if batch.count == batch.capacity { batch.removeAll() }
          append(line, number, to: batch)
        }
        stopwatch.stop()
      }
    }
  }

  private static func source(_ fields: Int) -> Source {
    var source = Shop.source
    let others: [Source.Field] = [.init("event_id", .string), .init("session_id", .string)]
    switch fields {
    case 9: source.fields += others
    case 6: break
    default: source.fields = [.init("user_id", .string)]
    }
    return source
  }

  private static func expressions(_ harness: Harness, _ events: EventBytes) {
    let batch = EventBatch(EventSchema(Shop.source), capacity: 256)
    events.forEachLine { line, number in
      if batch.count < batch.capacity { append(line, number, to: batch) }
    }
    Harness.printHeading("Programs over decoded events (each = one instruction)")
    let programs = [
      ("where purchase, price * quantity", ["event_type = 'purchase'", "price * quantity"]),
      (
        "three filters, two values",
        [
          "event_type = 'click'", "event_type = 'view' and price > 20.0",
          "event_type in ('purchase', 'add_to_cart')", "price * quantity", "coalesce(price, 0.0) + 1.5",
        ]
      ),
      ("lower(category) like 'c1%'", ["lower(category) like 'c1%'"]),
    ]
    for (name, texts) in programs {
      let program = compile(texts, batch.schema)
      let arena = TextArena()
      let registers = UnsafeMutablePointer<Scalar>.allocate(capacity: program.registerCount)
      defer { registers.deallocate() }
      program.prepare(registers)
      let runs = 1_000_000
      harness.measure(name, count: runs * program.instructionCount) { stopwatch in
        stopwatch.start()
        for run in 0..<runs {
          registers.update(from: batch.row(run & 255), count: program.columnCount)
          arena.reset()
          program.run(registers, arena: arena)
        }
        stopwatch.stop()
      }
    }
  }

  private static func compile(_ texts: [String], _ schema: EventSchema) -> Program {
    var builder = ProgramBuilder(columns: schema.expressionColumns)
    do {
      for text in texts { _ = try builder.add(text) }
    } catch {
      fatalError("Cannot compile the benchmark's expressions: \(error)")
    }
    return builder.build()
  }
}

/// Adds a line that is known to be good.
@inline(__always)
func append(_ line: UnsafeRawBufferPointer, _ number: Int, to batch: EventBatch) {
  do {
    try batch.append(line, sequence: Int64(number))
  } catch {
    fatalError("Cannot decode line \(number): \(error)")
  }
}
