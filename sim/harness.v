// Feeds whole words to the accelerator and records what it gives, without Python in any cycle.
//
// Macros: ACCELERATOR (the top module's name), INPUT_BITS and OUTPUT_BITS (widths of tdata).
// Files in the working folder: input.hex, one beat a line, in the order of the stream;
// events.txt, written here: "i CYCLE WORD" when the first beat of a word was taken,
// "o CYCLE LAST USER DATA" for each beat that was given.
//
// With external = 0 the first word is sent alone; when its result is complete the others follow
// back to back, by a source that never waits into a sink that is always ready. With external = 1
// the s_axis and m_axis ports below belong to the accelerator.
//
// In both cases broken counts the cycles in which m_axis breaks a rule of AXI4-Stream: a beat
// that was not taken vanished or changed, or there is a beat although reset was low in the last cycle.
`timescale 1ns / 1ps
`default_nettype none

module harness #(
    // Cycles after reset within which the first beat must be taken (memories are cleared until then).
    parameter STARTUP = 200000
) (
    input wire aclk /* verilator public_flat_rw */,
    input wire aresetn /* verilator public_flat_rw */,
    input wire external /* verilator public_flat_rw */,
    input wire [31:0] words /* verilator public_flat_rw */,
    input wire [31:0] beats_per_word /* verilator public_flat_rw */,
    // Cycles without any transfer after which the run is over, once the first beat was taken.
    input wire [31:0] patience /* verilator public_flat_rw */,
    output reg finished /* verilator public_flat_rw */,
    output wire [15:0] errors /* verilator public_flat_rw */,
    output reg [15:0] broken /* verilator public_flat_rw */,
    // Beats of results beyond which hardware that never ends is given up.
    input wire [31:0] beats_at_most /* verilator public_flat_rw */,

    input wire [`INPUT_BITS-1:0] s_axis_tdata /* verilator public_flat_rw */,
    input wire s_axis_tvalid /* verilator public_flat_rw */,
    output wire s_axis_tready /* verilator public_flat_rw */,
    input wire s_axis_tlast /* verilator public_flat_rw */,
    output wire [`OUTPUT_BITS-1:0] m_axis_tdata /* verilator public_flat_rw */,
    output wire m_axis_tvalid /* verilator public_flat_rw */,
    input wire m_axis_tready /* verilator public_flat_rw */,
    output wire m_axis_tlast /* verilator public_flat_rw */,
    output wire m_axis_tuser /* verilator public_flat_rw */
);
  // The source's register stage.
  reg [`INPUT_BITS-1:0] source_data;
  reg source_valid;
  reg source_last;

  `ACCELERATOR accelerator (
      .aclk(aclk),
      .aresetn(aresetn),
      .s_axis_tdata(external ? s_axis_tdata : source_data),
      .s_axis_tvalid(external ? s_axis_tvalid : source_valid),
      .s_axis_tready(s_axis_tready),
      .s_axis_tlast(external ? s_axis_tlast : source_last),
      .m_axis_tdata(m_axis_tdata),
      .m_axis_tvalid(m_axis_tvalid),
      .m_axis_tready(external ? m_axis_tready : 1'b1),
      .m_axis_tlast(m_axis_tlast),
      .m_axis_tuser(m_axis_tuser),
      .error_count(errors)
  );

  integer source_file;
  integer event_file;
  integer items;
  reg [63:0] cycle;
  reg [31:0] idle;
  reg [31:0] read_word;  // the word that the next beat from the file belongs to
  reg [31:0] read_beat;
  reg [31:0] source_word;  // the word and beat of what source_data holds
  reg source_first;
  reg [31:0] given_words;
  reg [31:0] given_beats;
  reg started;
  // An unknown tready takes nothing; an unknown tvalid gives something, whose unknown bits are then a fault.
  wire taken = source_valid & (s_axis_tready === 1'b1);
  wire given = (m_axis_tvalid !== 1'b0) & ~external;
  // The first word goes alone, so that its latency is that of an idle pipeline.
  wire may_read = (read_word < words) & ((read_word == 0) | (given_words != 0));

  initial begin
    source_file = $fopen("input.hex", "r");
    event_file = $fopen("events.txt", "w");
    finished = 1'b0;
    source_valid = 1'b0;
  end

  always @(posedge aclk) begin
    if (!aresetn || external) begin
      cycle <= 64'd0;
      idle <= 32'd0;
      read_word <= 32'd0;
      read_beat <= 32'd0;
      source_valid <= 1'b0;
      source_last <= 1'b0;
      given_words <= 32'd0;
      given_beats <= 32'd0;
      started <= 1'b0;
      finished <= 1'b0;
    end else if (!finished) begin
      cycle <= cycle + 64'd1;
      idle <= (taken | given) ? 32'd0 : idle + 32'd1;
      if (taken & source_first) $fwrite(event_file, "i %0d %0d\n", cycle, source_word);
      if (given) begin
        $fwrite(event_file, "o %0d %b %b %h\n", cycle, m_axis_tlast, m_axis_tuser, m_axis_tdata);
        if (m_axis_tlast !== 1'b0) given_words <= given_words + 32'd1;
        given_beats <= given_beats + 32'd1;
      end
      if (taken | ~source_valid) begin
        source_valid <= may_read;
        if (may_read) begin
          items = $fscanf(source_file, "%h\n", source_data);
          source_word <= read_word;
          source_first <= read_beat == 32'd0;
          source_last <= read_beat + 32'd1 == beats_per_word;
          if (read_beat + 32'd1 == beats_per_word) begin
            read_beat <= 32'd0;
            read_word <= read_word + 32'd1;
          end else read_beat <= read_beat + 32'd1;
        end
      end
      if (taken) started <= 1'b1;
      if (idle >= (started ? patience : STARTUP) || given_beats > beats_at_most) begin
        finished <= 1'b1;
        $fclose(event_file);
      end
    end
  end

  // What m_axis showed in the last cycle, and whether it has to show the same again.
  reg must_hold;
  reg was_reset;
  reg [`OUTPUT_BITS+1:0] shown;
  wire [`OUTPUT_BITS+1:0] shows = {m_axis_tuser, m_axis_tlast, m_axis_tdata};
  wire ready = external ? m_axis_tready : 1'b1;

  initial begin
    broken = 16'd0;
    must_hold = 1'b0;
    was_reset = 1'b0;
  end

  always @(posedge aclk) begin
    must_hold <= aresetn & (m_axis_tvalid !== 1'b0) & ~ready;
    was_reset <= ~aresetn;
    shown <= shows;
    if ((aresetn & must_hold & ((m_axis_tvalid !== 1'b1) | (shows !== shown))) | (was_reset & (m_axis_tvalid !== 1'b0)))
      broken <= broken + 16'd1;
  end
endmodule

`default_nettype wire
