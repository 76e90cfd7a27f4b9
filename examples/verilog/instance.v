// The accelerator of `cs-hdl generate digits-tiny --cycles 400` in a system of your own: it recognises the image in
// `image.hex` again and again and keeps the class.
//
// The parameters are those of manifest.json: INPUT_BITS and OUTPUT_BITS are 8 times the bytes of a beat, INPUT_BEATS the
// beats of an image. One value a beat at the output (signed): its place is the class.
module digit_recogniser #(
    parameter INPUT_BITS = 8,
    parameter INPUT_BEATS = 64,
    parameter OUTPUT_BITS = 24
) (
    input wire clk,
    input wire reset,
    output reg [3:0] class_index,
    output reg class_valid,
    output wire [15:0] errors
);
    // The image, a beat a word.
    reg [INPUT_BITS-1:0] image [0:INPUT_BEATS-1];
    initial $readmemh("image.hex", image);

    reg [15:0] beat = 0;
    wire ready;
    always @(posedge clk)
        if (reset) beat <= 0;
        else if (ready) beat <= (beat == INPUT_BEATS - 1) ? 0 : beat + 1;

    wire [OUTPUT_BITS-1:0] score;
    wire valid, last, fault;
    cs_accelerator accelerator (
        .aclk(clk), .aresetn(!reset),
        .s_axis_tdata(image[beat]), .s_axis_tvalid(1'b1), .s_axis_tready(ready),
        .s_axis_tlast(beat == INPUT_BEATS - 1),
        .m_axis_tdata(score), .m_axis_tvalid(valid), .m_axis_tready(1'b1),
        .m_axis_tlast(last), .m_axis_tuser(fault),
        .error_count(errors)
    );

    // The largest score wins; of equal ones the first.
    reg signed [OUTPUT_BITS-1:0] best;
    reg [3:0] place = 0, best_place;
    wire better = place == 0 || $signed(score) > best;
    always @(posedge clk) begin
        class_valid <= 0;
        if (reset) place <= 0;
        else if (valid) begin
            place <= last ? 0 : place + 1;
            if (better) begin
                best <= score;
                best_place <= place;
            end
            if (last) begin
                class_index <= better ? place : best_place;
                class_valid <= !fault;
            end
        end
    end
endmodule
