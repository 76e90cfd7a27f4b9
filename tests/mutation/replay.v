// Plays one row of inputs a cycle to an accelerator and says in which cycle its outputs are first not as recorded.
// Rows, in hexadecimal: {aresetn, s_axis_tvalid, s_axis_tlast, m_axis_tready, s_axis_tdata} in inputs.hex,
// {s_axis_tready, m_axis_tvalid, m_axis_tlast, m_axis_tuser, error_count, m_axis_tdata} in outputs.hex.
`timescale 1ns / 1ps

module replay;
  localparam ROWS = `ROWS;
  reg [`INPUT_BITS+3:0] inputs [0:ROWS-1];
  reg [`OUTPUT_BITS+19:0] outputs [0:ROWS-1];

  reg aclk = 0;
  reg aresetn = 0, s_axis_tvalid = 0, s_axis_tlast = 0, m_axis_tready = 0;
  reg [`INPUT_BITS-1:0] s_axis_tdata = 0;
  wire s_axis_tready, m_axis_tvalid, m_axis_tlast, m_axis_tuser;
  wire [`OUTPUT_BITS-1:0] m_axis_tdata;
  wire [15:0] error_count;

  `ACCELERATOR accelerator (
      .aclk(aclk), .aresetn(aresetn),
      .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
      .s_axis_tlast(s_axis_tlast),
      .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready),
      .m_axis_tlast(m_axis_tlast), .m_axis_tuser(m_axis_tuser), .error_count(error_count));

  // What stands beside a tvalid of 0 means nothing.
  wire [`OUTPUT_BITS+19:0] now = {
    s_axis_tready, m_axis_tvalid, m_axis_tlast & m_axis_tvalid, m_axis_tuser & m_axis_tvalid, error_count,
    m_axis_tdata & {`OUTPUT_BITS{m_axis_tvalid}}};

  integer row, differs;
  initial begin
    $readmemh("inputs.hex", inputs);
    $readmemh("outputs.hex", outputs);
    differs = -1;
    for (row = 0; row < ROWS; row = row + 1) begin
      {aresetn, s_axis_tvalid, s_axis_tlast, m_axis_tready, s_axis_tdata} = inputs[row];
      #4;
      if (differs < 0 && now !== outputs[row]) differs = row;
      #1 aclk = 1;
      #5 aclk = 0;
    end
    if (differs < 0) $display("equal in %0d cycles", ROWS);
    else $display("differs in cycle %0d", differs);
    $finish;
  end
endmodule
